"""The stand-in: procedural faces with known ground truth, written in the official layouts."""
