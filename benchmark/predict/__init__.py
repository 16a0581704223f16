"""Prediction of AUs on photographs and videos by a finished trial.

Everything stays on this machine: nothing is uploaded, and no metadata of a photograph is copied into an output.
"""
