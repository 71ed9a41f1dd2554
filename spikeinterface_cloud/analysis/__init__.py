"""SortingAnalyzer, quality metrics, unit labels and comparison."""
