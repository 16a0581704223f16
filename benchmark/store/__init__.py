"""The files that trials leave on disk: one folder per trial, checkpoints, and all results in one file."""
