"""The datasets: one file or one folder each."""
