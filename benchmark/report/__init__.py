"""Reports: stored results beside the paper's, rendered by Jinja and matplotlib. Nothing here trains."""
