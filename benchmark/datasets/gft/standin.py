"""Stand-in of GFT: procedural faces in the layout of the reader, with their ground truth.

The participants sit in groups at a table: heads turn further than in a studio, hands and glasses occlude faces, and
annotators leave gaps. The base rates of the AUs come from public lists of GFT; all other numbers are our plausible
choices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.settings import DEFAULT_RENDERER, RendererName
from benchmark.datasets.gft.protocol import GFT
from benchmark.standin.images import save_face
from benchmark.standin.renderers import RENDERERS, Person, Renderer
from benchmark.standin.sample import intensity_of
from benchmark.standin.terms import DRAWN_AUS, Floats
from benchmark.standin.views import Pose, Scene, draw_pose, draw_scene, vary

PARTICIPANTS = tuple(sorted(GFT.subjects))
BASE_RATES = MappingProxyType(
    {
        1: 0.0449, 2: 0.1221, 4: 0.0339, 6: 0.2771, 7: 0.4510, 10: 0.2468, 12: 0.2917, 14: 0.0302, 15: 0.0953,
        17: 0.3240, 23: 0.2545, 24: 0.1409,
        5: 0.02, 9: 0.02, 25: 0.20, 26: 0.10,
    }
)  # fmt: skip
"""Share of active frames of each drawn AU; of the first twelve as in Patch-MCD's list `val`, of the last four ours."""

CODED_COLUMNS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 23, 24)
"""AU columns of an annotation file. AU11 is not drawn, so its cells are unknown."""
UNKNOWN_SHARE = 0.01
LOST_SHARE = 0.01
"""Share of coded frames whose row has no code."""
OCCLUDED_SHARE = 0.10
VIDEO = 1800
"""Number of frames of a participant's video."""

_HEADERS = (("frame", "AU{}"), ("Frames", "AU{:02d}"), ("0", "{}"), ("frame_number", "au{}"), ("FRAME", "{:02d}"))
"""Spellings of the header cells of the frame and the AUs, one of them in each file."""

_TOGETHER = ((1, 2, 5), (6, 7, 10, 12, 25), (4, 9), (15, 17), (23, 24))
_SHARED = 0.45
"""Share of an AU's variance that is common to its group."""

# Seed words that no other stand-in uses.
_AUS, _QUIRKS, _PERSON, _VIDEO, _FRAME = range(200, 205)


def write_gft(
    home: Path,
    size: int,
    frames: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    renderer: RendererName = DEFAULT_RENDERER,
) -> pd.DataFrame:
    """Write `home/GFT/`: images, annotations and the split. A pure function of its arguments.

    Args:
        home: The data root.
        size: Side of the square images, pixels.
        frames: Number of frames of each of the 96 participants, before gaps.
        seed: Seed of all random choices.
        progress: Called with (images written, images).
        renderer: Name of the renderer.

    Returns:
        One row an image, by participant and frame: `subject`, `frame`, `path` (relative to `home`), `coded` (whether
        any AU of the frame is known), the intensity in [0, 1] of each of `DRAWN_AUS` as `AU1`, ..., and `occluded`.
        An AU occurs where its intensity is above 0.35.

    Raises:
        UserError: The renderer is not installed.
    """
    drawing, folder = RENDERERS[renderer], home / GFT.folder
    annotations, images = folder / "annotations", folder / "images"
    annotations.mkdir(parents=True)
    split = [f"{s},{'test' if s in GFT.parts['test'] else 'train'}\n" for s in PARTICIPANTS]
    (folder / "split.csv").write_text("".join(split), encoding="ascii", newline="\n")

    rng = np.random.default_rng([seed, _QUIRKS])
    present = _without_gaps(rng, frames)
    shape = (len(PARTICIPANTS), frames, len(DRAWN_AUS))
    lost = rng.random(shape[:2]) < LOST_SHARE
    unknown = (rng.random(shape) < UNKNOWN_SHARE) | lost[..., None]
    labelled = present[..., None] & ~unknown
    intensity = _intensities(np.random.default_rng([seed, _AUS]), labelled)

    rows: list[dict[str, object]] = []
    for p, subject in enumerate(PARTICIPANTS):
        first = 1 if rng.random() < 0.2 else int(rng.integers(1, max(2, VIDEO - frames + 2)))
        digits = int(rng.integers(1, 6))
        cells = _cells(rng, intensity[p], unknown[p])
        _write_annotations(annotations / f"{subject}_occ.csv", _HEADERS[p % len(_HEADERS)], first, cells, present[p])
        (images / subject).mkdir(parents=True)
        who = drawing.draw_person(np.random.default_rng([seed, _PERSON, p]))
        video = np.random.default_rng([seed, _VIDEO, p])
        # Mean pose and mean scene of the participant's frames.
        base = (draw_pose(video, 1.5), draw_scene(video))
        for f in range(frames):
            values = intensity[p, f].tolist()
            drawn = np.random.default_rng([seed, _FRAME, p, f])
            picture, occluded = _picture(drawn, drawing, who, values, base, size)
            path = images / subject / f"{first + f:0{digits}d}.jpg"
            save_face(picture, path)
            row: dict[str, object] = {
                "subject": subject,
                "frame": first + f,
                "path": path.relative_to(home).as_posix(),
                "coded": bool(present[p, f] and not lost[p, f]),
            }
            rows.append(row | {f"AU{au}": v for au, v in zip(DRAWN_AUS, values, strict=True)} | {"occluded": occluded})
            if progress is not None:
                progress(len(rows), len(PARTICIPANTS) * frames)
    return pd.DataFrame(rows)


def _without_gaps(rng: np.random.Generator, frames: int) -> npt.NDArray[np.bool_]:
    """Draw which frames have a row, (96, frames) bool. Most participants have one gap, and some have two."""
    present = np.ones((len(PARTICIPANTS), frames), dtype=bool)
    for row in present:
        for chance in (0.7, 0.3):
            if rng.random() < chance:
                length = min(int(rng.integers(1, max(2, frames // 5 + 1))), frames - 1)
                start = int(rng.integers(0, frames - length + 1))
                row[start : start + length] = False
        row[int(rng.integers(frames))] = True  # no participant without a frame
    return present


def _intensities(rng: np.random.Generator, labelled: npt.NDArray[np.bool_]) -> Floats:
    """Draw intensities (96, frames, 16). In the known cells, each AU reaches its base rate, to one cell."""
    people, frames, aus = labelled.shape

    def correlated(*shape: int) -> Floats:
        values = rng.standard_normal((*shape, aus))
        for group in _TOGETHER:
            members = [DRAWN_AUS.index(au) for au in group]
            common = rng.standard_normal((*shape, 1))
            values[..., members] = np.sqrt(1 - _SHARED) * values[..., members] + np.sqrt(_SHARED) * common
        return np.asarray(values)

    clock = np.linspace(0, 1, frames)[:, None]
    # The sum of a participant's offset, two slow movements over the video, and frame noise.
    score = (
        0.6 * correlated(people, 1)
        + 0.6 * correlated(people, 1) * np.cos(np.pi * clock)
        + 0.6 * correlated(people, 1) * np.sin(2 * np.pi * clock)
        + 0.5 * correlated(people, frames)
    )
    intensity = np.zeros(labelled.shape)
    for k, au in enumerate(DRAWN_AUS):
        ranked = np.sort(score[..., k][labelled[..., k]])
        active = min(max(round(BASE_RATES[au] * len(ranked)), 1), len(ranked) - 1)
        # The threshold lies halfway between the last inactive and the first active cell, so rounding moves no cell.
        edge = ranked[-active - 1 : len(ranked) - active + 1].mean()
        intensity[..., k] = intensity_of((score[..., k] - edge) / float(score[..., k].std()))
    return intensity


def _cells(rng: np.random.Generator, intensity: Floats, unknown: npt.NDArray[np.bool_]) -> list[list[str]]:
    """Cells of one participant for `CODED_COLUMNS`; unknown cells are 9 or empty."""
    cells = []
    for values, gone in zip(intensity, unknown, strict=True):
        row = []
        for au, empty in zip(CODED_COLUMNS, rng.random(len(CODED_COLUMNS)) < 0.5, strict=True):
            k = DRAWN_AUS.index(au) if au in DRAWN_AUS else None
            row.append(("" if empty else "9") if k is None or gone[k] else str(int(values[k] > 0.35)))
        cells.append(row)
    return cells


def _write_annotations(
    file: Path, header: tuple[str, str], first: int, cells: list[list[str]], present: npt.NDArray[np.bool_]
) -> None:
    frame, au = header
    lines = [",".join([frame, *(au.format(number) for number in CODED_COLUMNS)])]
    lines += [",".join([str(first + f), *row]) for f, row in enumerate(cells) if present[f]]
    file.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _picture(
    rng: np.random.Generator,
    drawing: Renderer[Any],
    who: Person,
    intensity: Sequence[float],
    base: tuple[Pose, Scene],
    size: int,
) -> tuple[npt.NDArray[np.uint8], bool]:
    """Draw one frame; return it, and whether the face is occluded."""
    turned, scene = vary(rng, *base)
    image = drawing.render(who, intensity, turned, scene, size)
    occluded = bool(rng.random() < OCCLUDED_SHARE)
    if occluded:
        _occlude(rng, image, who, scene.light)
    return image, occluded


def _occlude(rng: np.random.Generator, image: npt.NDArray[np.uint8], who: Person, light: float) -> None:
    """Cover a part of the face with a hand or a dark object."""
    size = image.shape[0]
    x, y = (rng.uniform(0.25, 0.75, size=2) * size).tolist()
    width, height = (rng.uniform(0.12, 0.25, size=2) * size).tolist()
    angle = float(rng.uniform(0, 180))
    hand = rng.random() < 0.5
    tone = np.clip(np.array(who.skin) * light * 0.92, 0, 255) if hand else rng.uniform(15, 60, size=3)
    colour = [float(round(c)) for c in tone.tolist()]
    if hand:
        box = ((x, y), (2 * width, 2 * height), angle)
        cv2.ellipse(image, box, colour, thickness=-1)
    else:
        corners = cv2.boxPoints(((x, y), (2 * width, 1.4 * height), angle))
        cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], colour)
