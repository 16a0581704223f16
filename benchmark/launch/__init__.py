"""Trials in more processes, and as jobs of a Slurm cluster."""
