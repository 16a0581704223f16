"""What trials leave on disk: one folder a trial, checkpoints, and all results in one file."""
