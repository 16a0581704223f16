"""Origin of the faces behind a result."""

from __future__ import annotations

from typing import Literal

Origin = Literal["stand-in", "complete", "partial"]
"""Procedural faces; a full copy of the dataset; any other copy."""

CLEAR = "clear"
"""Kind of stand-in FE images whose AUs determine the label."""
