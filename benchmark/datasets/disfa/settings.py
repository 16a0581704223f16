"""Settings of DISFA's reader."""

from __future__ import annotations

from typing import Literal

from benchmark.datasets.base import DatasetSettings


class DisfaSettings(DatasetSettings):
    """Choices that the paper or the files of a copy leave open about DISFA."""

    camera: Literal["left", "right"] = "left"
    """Camera whose frames are read; both cameras have the same labels."""
    frames: Literal["all", "jaa_clean"] = "all"
    """All labelled frames, or only those in JAA-Net's lists, which lack 4,670 frames with a hidden face."""
    image_numbers: Literal["auto", "from_0", "from_1"] = "auto"
    """Number of the first frame in the names of extracted images. `auto`: inferred from the names, or an error."""

    landmarks_camera: Literal["left", "right"] = "left"
    """Camera of the landmarks; no publication states it."""
    landmark_numbers: Literal["auto", "from_0", "from_1"] = "auto"
    """Number of the first frame in the names of landmark files. `auto`: inferred for each subject, or an error."""
