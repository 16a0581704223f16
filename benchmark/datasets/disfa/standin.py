"""Stand-in of DISFA: videos of procedural faces with label files in the official layout.

The subjects watch videos: they are mostly neutral, with AUs that change smoothly. The base rates of the eight scored
AUs are DISFA's; all other numbers are our plausible choices. The stand-in has the irregularities of real copies:
different spellings of file names, one subject with a frame more than labels and one with a label more than frames,
landmark files with other names, and frames whose landmarks are empty or missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.settings import DEFAULT_RENDERER, RendererName
from benchmark.core.errors import UserError
from benchmark.datasets.disfa.landmarks import LANDMARKS
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.standin.landmarks import find_none, write_disfa_landmarks
from benchmark.standin.renderers import RENDERERS
from benchmark.standin.sample import intensity_of
from benchmark.standin.terms import DRAWN_AUS, Floats
from benchmark.standin.views import draw_pose, draw_scene, vary

SUBJECTS = tuple(sorted(DISFA.subjects))
LABEL_FILES = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""AUs with labels in DISFA. AU20 is not drawn, so it never occurs."""
BASE_RATES = MappingProxyType(
    {
        1: 0.0497, 2: 0.0431, 4: 0.1524, 6: 0.0789, 9: 0.0418, 12: 0.1288, 25: 0.2771, 26: 0.0882,
        5: 0.02, 7: 0.05, 10: 0.04, 14: 0.04, 15: 0.05, 17: 0.08, 23: 0.02, 24: 0.02,
    }
)  # fmt: skip
"""Share of active frames of each drawn AU; of the first eight as in DISFA at intensity 2, of the others ours."""
SHORT_SUBJECT = "SN010"
"""Subject with labels for all frames but the last, as in the lists of ME-GraphAU."""
SHORT_VIDEO = "SN027"
"""Subject with labels for one frame more than its video has."""
ODD_LANDMARKS = "SN030"
"""Subject with other names of landmark files."""
HALF_TRACKED = "SN029"
"""Subject without landmarks in the second half."""
UNTRACKED_SHARE = 0.03
FRAME_RATE = 20.0

_SPELLINGS = ("LeftVideo{}_comp.avi", "leftVideo{}_Comp.avi", "LeftVideo{}_Comp.avi", "leftVideo{}_comp.avi")
_TRACE = 0.15
"""Minimum intensity, in [0, 1], with which an AU that does not occur is labelled 1."""
_FAMILIES = ((1, 2, 5), (4, 7, 9), (6, 12), (25, 26), (10, 14), (15, 17), (23, 24))
"""Groups of correlated AUs."""
_WAVES = 4

# Seed words that no other stand-in uses.
_AUS, _PERSON, _VIDEO, _FRAME, _TRACKER = range(100, 105)


def write_disfa(
    home: Path,
    size: int,
    frames: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    renderer: RendererName = DEFAULT_RENDERER,
) -> pd.DataFrame:
    """Write `home/DISFA/`: videos of the left camera, labels and landmarks. A pure function of its arguments.

    Args:
        home: The data root.
        size: Side of the square frames, pixels.
        frames: Number of frames of each of the 27 videos.
        seed: Seed of all random choices.
        progress: Called with (frames written, frames).
        renderer: Name of the renderer.

    Returns:
        One row a frame, by subject and frame: `subject`, `frame` (from 1), `path` (relative to `home`, `video.avi#K`
        with K from 0), `coded` (whether the frame has labels), the intensity in [0, 1] of each of `DRAWN_AUS` as
        `AU1`, ..., and the pose. An AU occurs where its intensity is above 0.35.

    Raises:
        UserError: OpenCV cannot write a video below `home`, or the renderer is not installed.
    """
    drawing = RENDERERS[renderer]
    coded = np.ones((len(SUBJECTS), frames), dtype=bool)
    coded[SUBJECTS.index(SHORT_SUBJECT), -1] = False
    intensity = _intensities(np.random.default_rng([seed, _AUS]), coded)
    videos = home / DISFA.folder / "Videos_LeftCamera"
    videos.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for s, subject in enumerate(SUBJECTS):
        _write_labels(home / DISFA.folder / "ActionUnit_Labels" / subject, subject, intensity[s][coded[s]])
        who = drawing.draw_person(np.random.default_rng([seed, _PERSON, s]))
        video_rng = np.random.default_rng([seed, _VIDEO, s])
        # Mean pose and mean scene of the subject's frames.
        pose, scene = draw_pose(video_rng), draw_scene(video_rng)
        tracker = np.random.default_rng([seed, _TRACKER, s])
        lost = find_none(tracker, frames, UNTRACKED_SHARE)
        lost[frames // 2 if subject == HALF_TRACKED else frames :] = True
        tracks = home / DISFA.folder / LANDMARKS / subject / "tmp_frame_lm"
        tracks.mkdir(parents=True)
        path = videos / _SPELLINGS[s % len(_SPELLINGS)].format(subject)
        writer = _open(path, size)
        try:
            for f in range(frames - (subject == SHORT_VIDEO)):
                turned, seen = vary(np.random.default_rng([seed, _FRAME, s, f]), pose, scene)
                image = drawing.render(who, intensity[s, f].tolist(), turned, seen, size)
                writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
                name = f"lm{f}.mat" if subject == ODD_LANDMARKS else f"{subject}_{f:04d}_lm.mat"
                points = drawing.landmarks(tracker, who, intensity[s, f].tolist(), turned, size)
                # Every second frame without a detected face has a file with empty landmarks; the others have no file.
                if not lost[f] or f % 2:
                    write_disfa_landmarks(tracks / name, np.zeros((0, 0)) if lost[f] else points)
                row: dict[str, object] = {
                    "subject": subject,
                    "frame": f + 1,
                    "path": f"{path.relative_to(home).as_posix()}#{f}",
                    "coded": bool(coded[s, f]),
                }
                values = {f"AU{au}": float(v) for au, v in zip(DRAWN_AUS, intensity[s, f], strict=True)}
                rows.append(row | values | asdict(turned))
                if progress is not None:
                    progress(len(rows), len(SUBJECTS) * frames - 1)
        finally:
            writer.release()
    return pd.DataFrame(rows)


def labels_of(intensity: Floats) -> npt.NDArray[np.int64]:
    """Convert intensities in [0, 1] to DISFA's 0 to 5: at least 2 where an AU occurs, else 0 or 1 (a trace)."""
    strength = np.clip(2 + np.floor((intensity - 0.40) / 0.15), 2, 5)
    return np.where(intensity > 0.35, strength, intensity > _TRACE).astype(np.int64)


def _intensities(rng: np.random.Generator, coded: npt.NDArray[np.bool_]) -> Floats:
    """Draw intensities (27, frames, 16). In the coded frames, each AU reaches its base rate, to one frame."""
    people, frames = coded.shape
    mixing = np.eye(len(DRAWN_AUS))
    for family in _FAMILIES:
        members = [DRAWN_AUS.index(au) for au in family]
        mixing[np.ix_(members, members)] += 0.6
    mixing /= np.sqrt(np.square(mixing).sum(axis=0))

    # The sum of a subject's offset, waves of random frequency and phase (slower ones are larger), and frame noise.
    score = 0.5 * rng.standard_normal((people, 1, len(DRAWN_AUS))) @ mixing
    clock = np.linspace(0, 1, frames)[:, None]
    for wave in range(1, _WAVES + 1):
        turns = wave * rng.uniform(0.6, 1.4, size=(people, 1, 1))
        phases = rng.uniform(0, 2 * np.pi, size=(people, 1, 1))
        height = rng.standard_normal((people, 1, len(DRAWN_AUS))) @ mixing / np.sqrt(wave)
        score = score + height * np.cos(2 * np.pi * turns * clock + phases)
    score = score + 0.25 * rng.standard_normal((people, frames, len(DRAWN_AUS))) @ mixing

    intensity = np.zeros(score.shape)
    for k, au in enumerate(DRAWN_AUS):
        ranked = np.sort(score[..., k][coded])
        active = min(max(round(BASE_RATES[au] * len(ranked)), 1), len(ranked) - 1)
        # The threshold lies halfway between two neighbouring ranks, so that rounding moves no frame across it.
        edge = ranked[-active - 1 : len(ranked) - active + 1].mean()
        intensity[..., k] = intensity_of((score[..., k] - edge) / float(ranked.std()))
    return intensity


def _write_labels(folder: Path, subject: str, intensity: Floats) -> None:
    folder.mkdir(parents=True)
    labels = labels_of(intensity)
    for au in LABEL_FILES:
        column = labels[:, DRAWN_AUS.index(au)].tolist() if au in DRAWN_AUS else [0] * len(labels)
        text = "".join(f"{frame},{value}\n" for frame, value in enumerate(column, start=1))
        (folder / f"{subject}_au{au}.txt").write_text(text, encoding="ascii", newline="\n")


def _open(path: Path, size: int) -> cv2.VideoWriter:
    # Every build has OpenCV's own encoder. FFmpeg's would crop frames to an even size and write its version into
    # the file.
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, FRAME_RATE, (size, size))
    if not writer.isOpened():
        raise UserError("OpenCV cannot write a video", where=path, remedy="install opencv-python-headless anew")
    return writer
