"""Drawing of a stand-in's images. Every image has its own random stream, so the number of processes has no effect."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from multiprocessing import connection
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.names import LookName
from benchmark.config.settings import StandinSettings
from benchmark.core.machine import available_cores
from benchmark.standin.images import save_face
from benchmark.standin.landmarks import manual_annotation
from benchmark.standin.looks import LOOKS
from benchmark.standin.renderers import RENDERERS, Person
from benchmark.standin.terms import DRAWN_AUS, Floats, Image
from benchmark.standin.views import Pose, Scene, draw_pose, draw_scene, vary

_SERIAL_BELOW = 1500
"""Number of images below which a single process is faster."""


class Word(IntEnum):
    """First words of seeds, which separate the random streams."""

    AUS = 0
    CODED = 1
    PERSON = 2
    SEQUENCE = 3
    FRAME = 4
    LABELS = 5
    WILD = 6
    TRACKER = 7
    FOUND = 8
    PHOTO = 9
    VOTES = 10
    MARKED = 11
    UNRELATED = 12
    MARKED_AU = 13
    STRANGER = 14
    VIEW = 15
    NAMED = 16
    HARMFUL = 17
    LOOK = 18


@dataclass(frozen=True)
class Picture:
    """One image to write: its path, its content, and the seed words of its random stream."""

    path: str
    intensity: Floats
    person: tuple[int, ...]
    stream: tuple[int, ...]
    base: tuple[Pose, Scene] | None
    """Mean pose and mean scene of a frame; None for a web photograph."""
    cue: tuple[float, float, float] | None = None
    photo: str = ""
    """Path of the photograph that a web image was cropped from; "" for none."""
    annotation: str = ""
    """Path of the file with the landmarks of the photograph's face; "" for none."""
    marked: bool = False
    """Whether the image shows noise instead of a face."""
    look: LookName | None = None
    """Look that the finished image gets; None for none."""


@dataclass(frozen=True)
class Drawn:
    """Result of drawing one image: pose, scene, and landmarks (66, 2) in pixels."""

    row: dict[str, float]
    landmarks: npt.NDArray[np.float64]


def seeded_generator(settings: StandinSettings, *words: int) -> np.random.Generator:
    """Random generator that is a pure function of the stand-in's seed and the words."""
    return np.random.default_rng([settings.seed, *words])


def au_columns(intensity: Floats) -> dict[str, float]:
    """Columns `AU1`, ... of a ground truth, from the intensities (16,) of `DRAWN_AUS`."""
    return {f"AU{au}": float(value) for au, value in zip(DRAWN_AUS, intensity, strict=True)}


def draw_pictures(
    home: Path,
    settings: StandinSettings,
    batches: list[list[Picture]],
    progress: Callable[[int, int], None] | None,
) -> dict[str, Drawn]:
    """Write all images, and return the drawn parameters of each, by path."""
    total = sum(len(batch) for batch in batches)
    drawn: dict[str, Drawn] = {}
    for written in _batches(home, settings, batches, 1 if total < _SERIAL_BELOW else available_cores()):
        drawn.update(written)
        if progress is not None:
            progress(len(drawn), total)
    return drawn


def with_scenes(truth: pd.DataFrame, drawn: Mapping[str, Drawn]) -> pd.DataFrame:
    """The rows of a ground truth with column `path`, and beside each the pose and the scene of its image."""
    scenes = pd.DataFrame([drawn[path].row for path in truth["path"]], index=truth.index)
    return pd.concat([truth, scenes], axis=1)


def _batches(
    home: Path, settings: StandinSettings, batches: list[list[Picture]], workers: int
) -> Iterator[dict[str, Drawn]]:
    if workers == 1:
        for batch in batches:
            yield _write_batch(home, settings, batch)
        return
    # Spawned, not forked: a fork of a process with threads of torch or OpenCV can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(batches)), context, initializer=_begin_worker) as pool:
        yield from pool.map(_write_batch, [home] * len(batches), [settings] * len(batches), batches)


def _begin_worker() -> None:
    """One thread for OpenCV, and the end of this process with that of its parent, which may be killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _write_batch(home: Path, settings: StandinSettings, batch: list[Picture]) -> dict[str, Drawn]:
    """Write one batch of images, and return the drawn parameters of each, by path."""
    drawing = RENDERERS[settings.renderer]
    people: dict[tuple[int, ...], Person] = {}
    drawn = {}
    for picture in batch:
        who = people.get(picture.person)
        if who is None:
            who = people.setdefault(picture.person, drawing.draw_person(seeded_generator(settings, *picture.person)))
        rng = seeded_generator(settings, *picture.stream)
        pose, scene = _pose_and_scene(rng, picture)
        intensity = picture.intensity.tolist()
        save_face(_draw(settings, picture, who, pose, scene, settings.size), home / picture.path)
        tracker = seeded_generator(settings, Word.TRACKER, *picture.stream)
        if picture.photo:
            _write_photo(home, settings, picture, (who, pose, scene))
        drawn[picture.path] = Drawn(
            asdict(pose) | {"light": scene.light, "blur": scene.blur, "noise": scene.noise},
            drawing.landmarks(tracker, who, intensity, pose, settings.size),
        )
    return drawn


def _write_photo(home: Path, settings: StandinSettings, picture: Picture, drawn: tuple[Person, Pose, Scene]) -> None:
    """Write the photograph of an aligned image: the same face, smaller and rotated further."""
    who, pose, scene = drawn
    rng = seeded_generator(settings, Word.PHOTO, *picture.stream)
    dx, dy = rng.uniform(-0.25, 0.25, size=2).tolist()
    pose = replace(pose, scale=pose.scale * 0.55, roll=pose.roll + float(rng.normal(0, 0.2)), dx=dx, dy=dy)
    size, intensity = round(1.5 * settings.size), picture.intensity.tolist()
    save_face(_draw(settings, picture, who, pose, scene, size), home / picture.photo)
    points = RENDERERS[settings.renderer].landmarks(rng, who, intensity, pose, size)
    file = home / picture.annotation
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manual_annotation(points), encoding="ascii", newline="\n")


def _draw(settings: StandinSettings, picture: Picture, who: Person, pose: Pose, scene: Scene, size: int) -> Image:
    """Draw a face, or noise in its place: eight by eight blocks of random colours."""
    if not picture.marked:
        image = RENDERERS[settings.renderer].render(who, picture.intensity.tolist(), pose, scene, size)
        if picture.look is None:
            return image
        return LOOKS[picture.look](image, seeded_generator(settings, Word.LOOK, *picture.stream))
    blocks = seeded_generator(settings, Word.MARKED, *picture.stream).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    place = np.arange(size) * 8 // size
    return np.asarray(blocks[place][:, place])


def _pose_and_scene(rng: np.random.Generator, picture: Picture) -> tuple[Pose, Scene]:
    if picture.base is None:
        pose, scene = draw_pose(rng, 1.5), draw_scene(rng, 1.6)
        if picture.cue is not None:
            gaze_x, gaze_y, roll = picture.cue
            sides = rng.choice((-1.0, 1.0), size=2)
            jitter = 0.08 * np.clip(rng.normal(size=2), -2, 2)
            pose = replace(
                pose,
                gaze_x=float(sides[0] * gaze_x + jitter[0]),
                gaze_y=float(gaze_y + jitter[1]),
                roll=float(sides[1] * roll + 0.3 * pose.roll),
            )
        return pose, scene
    return vary(rng, *picture.base)
