"""`report.html`: what was recorded, what the sorters found and what it took, in one file.

`sample` gathers a little of the recording while it is there; `page` reads the results folder when
the job ends. The plots are SVG drawn here (`plot`, `sparkline`), which takes a fraction of the
seconds and bytes of a plotting library's and stays sharp on a phone.
"""
