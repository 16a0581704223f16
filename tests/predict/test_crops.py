"""Faces are cut out as in training, at the places that their outlines say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.data.align import TEMPLATE, points_of
from benchmark.data.decode import decode
from benchmark.predict.crops import DRAWN_ZOOM, Cutter, bounding_box, chosen_faces, faces_of, whole_outline
from benchmark.predict.model import Model
from benchmark.standin.drawn.identity import draw_identity
from benchmark.standin.drawn.landmarks import draw_landmarks
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import draw_pose
from tests.predict.conftest import FACE, LARGE, Scripted


def test_an_aligned_face_is_packed_as_those_of_a_dataset(tmp_path: object) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    file = tmp_path / "a.png"  # type: ignore[operator]
    Image.fromarray(image).save(file)
    np.testing.assert_array_equal(Cutter(36).aligned(image, FACE), decode(file, 36, FACE)[0])


@pytest.mark.parametrize("zoom", [1.0, 1.25, 2.0])
def test_the_outline_shows_the_place_of_the_frame(zoom: float) -> None:
    ramp = np.stack(np.meshgrid(np.arange(100), np.arange(100)), axis=-1).astype(np.uint8)
    image = np.concatenate([ramp, np.zeros((100, 100, 1), np.uint8)], axis=2)  # red is x, green is y
    cutter = Cutter(40, zoom)
    frame, corners = cutter.aligned(image, FACE).astype(float), cutter.outline(FACE)
    middle = frame[19:21, 19:21, :2].mean(axis=(0, 1))
    np.testing.assert_allclose(middle, corners.mean(axis=0), atol=1.0)
    side = np.linalg.norm(corners[1] - corners[0])
    assert side == pytest.approx(np.linalg.norm(corners[2] - corners[1]))
    # The eyes are 0.28 of the aligned square apart; the square that is cut is smaller by the zoom.
    shares = np.array(TEMPLATE)
    spread = np.linalg.norm(FACE - FACE.mean(axis=0)) / np.linalg.norm(shares - shares.mean(axis=0))
    assert side * zoom == pytest.approx(spread, rel=0.05)


def test_drawn_faces_stand_in_their_images_as_the_zoom_says() -> None:
    rng = np.random.default_rng(0)
    points = []
    for _ in range(200):
        landmarks = draw_landmarks(rng, draw_identity(rng), np.zeros(len(DRAWN_AUS)), draw_pose(rng), 100)
        points.append(points_of(landmarks, (slice(36, 42), slice(42, 48)), (48, 54)))
    zoomed = (np.array(TEMPLATE) - 0.5) * DRAWN_ZOOM + 0.5
    np.testing.assert_allclose(np.mean(points, axis=0) / 100, zoomed, atol=0.035)


def test_the_zoom_of_a_model_is_that_of_its_own_faces(model: Model) -> None:
    drawn = Model(model.trial, {**model.made, "origin": "stand-in"}, model.method, model.images)
    assert Cutter.of(model).zoom == 1.0
    assert Cutter.of(drawn).zoom == DRAWN_ZOOM
    aligned = model.trial.model_copy(update={"data": model.trial.data.model_copy(update={"alignment": "landmarks"})})
    assert Cutter.of(Model(aligned, drawn.made, model.method, model.images)).zoom == 1.0
    assert Cutter.of(drawn, 1.5).zoom == 1.5
    with pytest.raises(UserError, match="the zoom is out of range"):
        Cutter.of(drawn, 0.5)


def test_the_largest_face_comes_first_and_rules_decide() -> None:
    faces = faces_of(np.full((100, 100, 3), 120, np.uint8), Scripted())
    np.testing.assert_allclose(faces, [LARGE, FACE])
    assert len(chosen_faces(faces, "largest", "skip", "a")) == 1
    assert len(chosen_faces(faces, "all", "skip", "a")) == 2
    assert len(chosen_faces(faces[:0], "largest", "skip", "a")) == 0
    with pytest.raises(UserError, match="several faces"):
        chosen_faces(faces, "refuse", "skip", "a")
    with pytest.raises(UserError, match="no face is found"):
        chosen_faces(faces[:0], "largest", "refuse", "a")


def test_a_box_around_a_turned_square() -> None:
    square = cv2.boxPoints(((50.0, 40.0), (20.0, 20.0), 45.0)).astype(np.float64)
    left, top, width, height = bounding_box(square)
    assert (left, top) == pytest.approx((50.5 - 200**0.5, 40.5 - 200**0.5))
    assert (width, height) == pytest.approx((800**0.5, 800**0.5))
    assert bounding_box(whole_outline(np.zeros((30, 50, 3), np.uint8))) == (0, 0, 50, 30)
