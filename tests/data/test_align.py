"""Alignment: the similarity transform, its pixels, and the rule for frames without landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import least_squares

from benchmark.core.errors import UserError
from benchmark.data.align import (
    TEMPLATE,
    Points,
    believed,
    nearest_points,
    plausible,
    points_of,
    reduction,
    similarity,
    warp,
)
from benchmark.data.faces import FaceSet
from benchmark.data.frames import pack

SIZE = 128


def turned(angle: float, scale: float, x: float, y: float) -> Points:
    """The template's points in an image where the face is turned by `angle` and `scale` pixels wide."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (scale * (np.array(TEMPLATE) - 0.5) @ turn.T + (x, y)).astype(np.float32)


@given(
    st.floats(-3, 3),
    st.floats(50, 2000),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.lists(st.floats(-0.04, 0.04), min_size=8, max_size=8),
)
def test_it_is_the_least_squares_similarity(angle: float, scale: float, x: float, y: float, noise: list[float]) -> None:
    points = (turned(angle, scale, x, y) + scale * np.array(noise).reshape(4, 2)).astype(np.float32)
    matrix = similarity(points, SIZE)
    assert matrix[0, 0] == matrix[1, 1]
    assert matrix[0, 1] == -matrix[1, 0]
    places = np.array(TEMPLATE) * SIZE - 0.5

    def miss(p: np.ndarray) -> np.ndarray:
        a, b, u, v = p
        return np.concatenate(
            [
                a * points[:, 0] - b * points[:, 1] + u - places[:, 0],
                b * points[:, 0] + a * points[:, 1] + v - places[:, 1],
            ]
        )

    ours = np.array([matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]])
    best = least_squares(miss, ours, x_scale=[1 / scale, 1 / scale, 1, 1], xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert np.square(miss(ours)).sum() <= 2 * best.cost * (1 + 1e-6) + 1e-9


@given(st.floats(-3.1, 3.1), st.floats(20, 900))
def test_a_face_may_be_turned_but_not_mirrored(angle: float, scale: float) -> None:
    points = turned(angle, scale, 0, 0)
    mirrored, upside = points * (-1, 1), points[[2, 3, 0, 1]]
    assert plausible(np.stack([points, mirrored, upside, points + np.nan])).tolist() == [True, False, False, False]


def test_landmarks_in_another_order_are_refused() -> None:
    good, bad = turned(0.1, 100, 60, 60), turned(0.1, 100, 60, 60)[[1, 0, 3, 2]]
    found = dict.fromkeys(range(40), good)
    assert set(believed({**found, 40: bad}, Path("x.mat"), "a layout")) == set(range(40))
    with pytest.raises(UserError, match="not in the known order") as caught:
        believed(dict.fromkeys(range(40), bad), Path("x.mat"), "a layout")
    assert caught.value.found == "40 of 40 frames where that cannot be"
    assert believed({}, Path("x.mat"), "a layout") == {}


def test_points_of_takes_means_of_eyes_and_the_corners() -> None:
    landmarks = np.arange(20.0).reshape(10, 2)
    points = points_of(landmarks, (slice(0, 2), slice(2, 6)), (8, 9))
    assert points.tolist() == [[1, 2], [7, 8], [16, 17], [18, 19]]


@given(
    st.sets(st.integers(1, 200), min_size=1, max_size=30),
    st.sets(st.integers(1, 200), max_size=12),
)
def test_a_frame_without_landmarks_takes_the_nearest_within_30(frames: set[int], known: set[int]) -> None:
    marks = {frame: np.full((4, 2), frame, np.float32) for frame in known}
    aligned = nearest_points(sorted(frames), marks)
    taken = iter(aligned.points[:, 0, 0].tolist())
    borrowed = 0
    for frame, kept in zip(sorted(frames), aligned.kept, strict=True):
        near = sorted(known, key=lambda k: (abs(k - frame), k))
        assert kept == bool(near and abs(near[0] - frame) <= 30)
        if kept:
            assert next(taken) == near[0]
            borrowed += near[0] != frame
    assert aligned.borrowed == borrowed
    assert len(aligned.points) == aligned.kept.sum()


def dotted(points: Points, width: int, height: int) -> np.ndarray:
    """A grey image with a bright dot at each point, red, green, blue, white."""
    image = np.full((height, width, 3), 90, np.uint8)
    y, x = np.mgrid[:height, :width]
    for (px, py), colour in zip(points, ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)), strict=True):
        image[np.hypot(x - px, y - py) < 0.02 * np.ptp(points[:, 0]) * 2] = colour
    return image


def dots(image: np.ndarray) -> np.ndarray:
    """Where the dots are, to a fraction of a pixel."""
    r, g, b = (image[..., k].astype(float) for k in range(3))
    shares = (r - np.maximum(g, b), g - np.maximum(r, b), b - np.maximum(r, g), np.minimum(np.minimum(r, g), b) - 130)
    y, x = np.mgrid[: len(image), : len(image)]
    found = []
    for share in shares:
        weight = np.clip(share - 40, 0, None)
        found.append((np.sum(weight * x) / weight.sum(), np.sum(weight * y) / weight.sum()))
    return np.array(found)


@pytest.mark.parametrize(
    ("angle", "scale", "factor"), [(0.0, SIZE, 1), (0.3, 90, 1), (-0.4, 300, 2), (0.2, 540, 4), (0.05, 1100, 8)]
)
@pytest.mark.parametrize("kind", ["jpg", "avi"])
def test_packed_frames_have_their_points_at_the_template(
    tmp_path: Path, angle: float, scale: float, factor: int, kind: str
) -> None:
    points = turned(angle, scale, 0.55 * 1203, 0.5 * 1001)
    assert reduction(points, SIZE) == factor
    image = dotted(points, 1203, 1001)  # sides that no factor divides
    if kind == "jpg":
        Image.fromarray(image).save(tmp_path / "a.jpg", quality=98, subsampling=0)
        path = "a.jpg"
    else:
        writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20, (1203, 1001))
        writer.write(np.zeros_like(image))
        writer.write(np.ascontiguousarray(image[..., ::-1]))
        writer.release()
        path = "a.avi#1"
    table = pd.DataFrame({"path": [path], "subject": ["S"], "sequence": ["S"], "frame": [1]})
    faces = FaceSet("x", tmp_path, table, np.zeros((1, 1), np.int8), ("AU1",), "partial", "", points=points[None])
    packed = pack(faces, SIZE, tmp_path / "cache")
    assert np.abs(dots(packed.frames[0]) - (np.array(TEMPLATE) * SIZE - 0.5)).max() < 0.6
    other = pack(replace(faces, points=points[None] + 1), SIZE, tmp_path / "cache")
    assert other.fingerprint != packed.fingerprint


def test_pixels_are_those_of_an_independent_warp() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (150, 170, 3), np.uint8), (0, 0), 4)
    points = turned(0.25, 120, 90, 70)
    ours = warp(image, points, 96).astype(float)
    back = np.linalg.inv(np.vstack([similarity(points, 96), (0, 0, 1)]))
    # PIL asks for the way back, between pixel corners where ours is between pixel centres.
    corner = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    a = np.linalg.inv(corner) @ back @ corner
    theirs = Image.fromarray(image).transform(
        (96, 96), Image.Transform.AFFINE, a[:2].ravel().tolist(), Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
    )
    inside = np.asarray(
        Image.new("L", (170, 150), 255).transform((96, 96), Image.Transform.AFFINE, a[:2].ravel().tolist())
    )
    inner = cv2.erode(inside, np.ones((5, 5))) > 0
    assert inner.mean() > 0.6
    assert np.abs(ours - np.asarray(theirs, float))[inner].max() <= 2
    outer = cv2.dilate(inside, np.ones((5, 5))) == 0
    assert (ours[outer] == 128).all()
