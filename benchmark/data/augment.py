"""Augmentation and normalisation: packed uint8 frames to network input (paper §4.1.2)."""

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
"""ImageNet's statistics for the weights of timm and torchvision (ambiguity A16)."""

Normalise = Literal["imagenet", "per_image"]


@dataclass(frozen=True)
class ImageInput:
    """Conversion of frames to network input.

    Attributes:
        crop_size: Side of the network's input in pixels; the packed frames are at least as large.
        normalise: Normalisation by the mean and standard deviation of ImageNet, or of the image itself.
        device: Device of the tensors.
    """

    crop_size: int
    normalise: Normalise
    device: torch.device

    def train(self, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Cut a random crop and flip it at random.

        Args:
            frames: uint8 (B, S, S, 3).
            rng: Generator of the batch.

        Returns:
            float32 (B, 3, crop_size, crop_size).
        """
        return self.to_input(self.train_crops(frames, rng))

    def train_crops(self, frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
        """Do the part of `train` that needs no device: uint8 (B, crop_size, crop_size, 3), ready for the copy."""
        count, size = frames.shape[:2]
        tops, lefts = rng.integers(0, size - self.crop_size + 1, size=(2, count))
        flips = np.less(rng.random(count), 0.5)
        # A GPU copies from pinned memory while it computes; from other memory only when it is idle.
        shape, pinned = (count, self.crop_size, self.crop_size, 3), self.device.type == "cuda"
        crops = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        into = crops.numpy()
        for i, (top, left, flip) in enumerate(zip(tops, lefts, flips, strict=True)):
            crop = frames[i, top : top + self.crop_size, left : left + self.crop_size]
            into[i] = crop[:, ::-1] if flip else crop
        return crops

    def test(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        """Cut the centre crop (ambiguity A12): uint8 (B, S, S, 3) to float32 (B, 3, crop_size, crop_size)."""
        start = (frames.shape[1] - self.crop_size) // 2
        stop = start + self.crop_size
        return self.to_input(torch.from_numpy(np.array(frames[:, start:stop, start:stop])))

    def to_input(self, crops: Tensor) -> Tensor:
        """Normalise crops, uint8 (B, C, C, 3), to network input on the device, float32 (B, 3, C, C)."""
        images = crops.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        scaled = images.float().div(255)
        if self.normalise == "per_image":
            std, mean = torch.std_mean(scaled, dim=(1, 2, 3), keepdim=True)
            # The standard deviation of a uniform image is 0.
            return (scaled - mean) / std.clamp_min(1e-3)
        normalised: Tensor = tv.normalize(scaled, list(IMAGENET_MEAN), list(IMAGENET_STD))
        return normalised
