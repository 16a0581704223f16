"""Trials: expansion of a profile, preparation of data, training, ownership, collection of results."""
