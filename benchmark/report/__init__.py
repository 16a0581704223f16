"""Reports: stored results joined with the paper, rendered by Jinja and matplotlib. Nothing here trains."""
