"""Trials in several processes, and as jobs of a Slurm cluster."""
