"""From packed frames to network input."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.data.augment import IMAGENET_MEAN, IMAGENET_STD, ImageInput

CPU = torch.device("cpu")


def frames(count: int = 8, size: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_centre_crop_with_imagenet_statistics() -> None:
    raw = frames()
    out = ImageInput(8, "imagenet", CPU).test(raw)
    expected = (raw[:, 2:10, 2:10] / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(out.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_each_image_by_its_own_statistics() -> None:
    raw = frames()
    raw[0] = 7  # a flat image has no contrast
    out = ImageInput(8, "per_image", CPU).test(raw)
    assert torch.isfinite(out).all()
    assert out[1:].mean((1, 2, 3)).abs().max() < 1e-5
    assert (out[1:].std((1, 2, 3)) - 1).abs().max() < 1e-4


def test_random_crops_come_from_the_frame_and_some_are_flipped() -> None:
    raw = frames(64)
    view = ImageInput(8, "imagenet", CPU)
    out = view.train(raw, np.random.default_rng(1))
    assert torch.equal(out, view.train(raw, np.random.default_rng(1)))
    whole = (
        torch.from_numpy(raw).permute(0, 3, 1, 2) / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    ) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    kinds = set()
    places = set()
    for image, frame in zip(out, whole, strict=True):
        for flip in (False, True):
            for top in range(5):
                for left in range(5):
                    crop = frame[:, top : top + 8, left : left + 8]
                    if torch.allclose(crop.flip(2) if flip else crop, image, atol=1e-5):
                        kinds.add(flip)
                        places.add((top, left))
    assert kinds == {False, True}
    assert len(places) > 15
