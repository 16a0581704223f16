"""Errors, F1, hashes and names. Every package may import them; they import nothing of the suite."""
