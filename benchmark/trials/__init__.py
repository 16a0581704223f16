"""A trial: what it is, how it is prepared, trained, owned and found again."""
