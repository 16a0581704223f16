"""Rows from outside: predictions of other programs and other people, brought to the test frames of a dataset."""
