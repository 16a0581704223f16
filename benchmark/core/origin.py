"""Whose faces made a number."""

from __future__ import annotations

from typing import Literal

Origin = Literal["stand-in", "complete", "partial"]
"""Procedural faces; a copy of the dataset with the known counts; anything else."""

CLEAR = "clear"
"""Kind of a stand-in's FE images whose label their AUs carry."""
