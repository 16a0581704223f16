"""From packed uint8 frames to the tensors a network takes (paper §4.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Statistics that timm's and torchvision's ImageNet weights were trained with (ambiguity A16)."""

Normalise = Literal["imagenet", "per_image"]


@dataclass(frozen=True)
class ImageInput:
    """How frames become network input.

    Attributes:
        crop_size: Side of the network's input in pixels; the packed frames are at least as large.
        normalise: By ImageNet's mean and standard deviation, or each image by its own.
        device: Where the tensors go.
    """

    crop_size: int
    normalise: Normalise
    device: torch.device

    def train(self, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Random crop and random horizontal flip.

        Args:
            frames: uint8 (B, S, S, 3).
            rng: The batch's own generator.

        Returns:
            float32 (B, 3, crop_size, crop_size).
        """
        count, size = frames.shape[:2]
        tops, lefts = rng.integers(0, size - self.crop_size + 1, size=(2, count))
        flips = np.less(rng.random(count), 0.5)
        crops = np.empty((count, self.crop_size, self.crop_size, 3), dtype=np.uint8)
        for i, (top, left, flip) in enumerate(zip(tops, lefts, flips, strict=True)):
            crop = frames[i, top : top + self.crop_size, left : left + self.crop_size]
            crops[i] = crop[:, ::-1] if flip else crop
        return self._to_input(crops)

    def test(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Centre crop (ambiguity A12): uint8 (B, S, S, 3) to float32 (B, 3, crop_size, crop_size)."""
        start = (frames.shape[1] - self.crop_size) // 2
        stop = start + self.crop_size
        return self._to_input(np.array(frames[:, start:stop, start:stop]))

    def _to_input(self, crops: npt.NDArray[np.uint8]) -> Tensor:
        images = torch.from_numpy(crops).to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        scaled = images.float().div(255)
        if self.normalise == "per_image":
            std, mean = torch.std_mean(scaled, dim=(1, 2, 3), keepdim=True)
            # A flat image has no contrast to scale by.
            return (scaled - mean) / std.clamp_min(1e-3)
        normalised: Tensor = tv.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD))
        return normalised
