"""The cases are programs that write an input; they hold no tests themselves."""

collect_ignore_glob = ["*.py"]
