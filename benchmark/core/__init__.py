"""Errors, F1, hashes, names: imported by all, importing nothing of the suite."""
