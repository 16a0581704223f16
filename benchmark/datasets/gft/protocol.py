"""AUs, subjects and the inferred split of GFT (paper §4.1, Table 3)."""

from __future__ import annotations

from benchmark.config.protocol import Protocol

_GFT_INFERRED_TEST = tuple(f"{triad:03d}{letter}" for triad in (5, 12, 13, 15, 27, 32) for letter in "ABC")
GFT = Protocol(
    dataset="gft",
    folder="GFT",
    aus=(1, 2, 4, 6, 10, 12, 14, 15, 23, 24),
    parts={"test": _GFT_INFERRED_TEST},
    train_only=tuple(
        subject
        for triad in range(1, 33)
        for letter in "ABC"
        if (subject := f"{triad:03d}{letter}") not in _GFT_INFERRED_TEST
    ),
    frames=132_600,
    sequences=96,
)
"""Protocol with the inferred split: in Patch-MCD's lists, the six triads with 24,619 frames match the paper's 24,600
test images. The authors' split file replaces it (`benchmark.datasets.gft.reader`)."""
