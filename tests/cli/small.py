"""Settings of runs of seconds: a small network, two steps."""

from __future__ import annotations

TINY = [
    *("--profile", "smoke"),
    *("--set", "method.backbone=test_resnet", "--set", "train.steps=2", "--set", "data.frame_size=36"),
    *("--set", "data.alignment=as_is"),  # the hand-made copies have no landmarks
]
"""On hand-made copies, which have no landmarks."""

TWO_STEPS = ("--profile", "smoke", "--set", "method.backbone=test_resnet", "--set", "train.steps=2")
SMALL = (*TWO_STEPS, "--set", "standin.size=16", "--set", "data.frame_size=16", "--set", "data.crop_size=16")
"""On the stand-in."""
