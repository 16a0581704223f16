"""Writes the stand-in: procedural faces in the official layouts of BP4D and RAF-DB, with their ground truth.

A pure function of the settings: the same settings give the same bytes (with the same versions of NumPy, OpenCV
and Pillow), whatever the number of processes, since every image has its own seed.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, Field

from benchmark.config.protocol import BP4D
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.data.faces import CLEAR, MARKER, MARKER_FORMAT
from benchmark.datasets.bp4d.reader import LANDMARKS
from benchmark.datasets.disfa.standin import write_disfa
from benchmark.datasets.gft.standin import write_gft
from benchmark.datasets.rafdb.reader import ALIGNED, LABELS, MANUAL, ORIGINAL, VOTES
from benchmark.standin.anatomy import DRAWN_AUS, Floats
from benchmark.standin.identity import Identity, Pose, draw_identity, draw_pose
from benchmark.standin.landmarks import draw_landmarks, find_none, manual_annotation, write_bp4d_landmarks
from benchmark.standin.people import render_path
from benchmark.standin.render import Scene, draw_scene, render_face, save_face, vary
from benchmark.standin.sample import (
    CUES,
    SUBJECTS,
    TASKS,
    Sequences,
    class_counts,
    draw_any,
    draw_expression,
    draw_sequences,
)

CODED_COLUMNS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28)
"""The AU columns of a coding file of BP4D. Those that nothing draws are coded 9, unknown."""

NEUTRAL = 7
ANNOTATORS = 40

# First words of a seed: they keep the random streams apart.
_AUS, _CODED, _PERSON, _SEQUENCE, _FRAME, _LABELS, _WILD, _TRACKER, _FOUND, _PHOTO, _VOTES = range(11)
_MARKED, _UNRELATED, _MARKED_AU, _STRANGER, _VIEW = 11, 12, 13, 14, 15

NEVER_TRACKED = ("M010", "T6")
"""A sequence without any landmarks, of which the dataset has long stretches."""
UNTRACKED_SHARE = 0.03
"""Share of BP4D's frames without landmarks: in the dataset 21,511 have none (issue 30 of PyTorch-JAANet)."""

_SERIAL_BELOW = 1500
"""Images below which starting processes costs more than it saves."""


class StandinSettings(BaseModel, frozen=True, extra="forbid"):
    """What a stand-in depends on."""

    size: int = Field(64, ge=16, le=512)
    """Side of the square images on disk, px."""
    frames_per_sequence: int = Field(12, ge=1, le=1000)
    """Coded frames in each of BP4D's 41 subjects x 8 tasks."""
    au_subjects: int = Field(41, ge=6, le=41)
    """Of BP4D's subjects, as many of each part; at least two of each, without whom there is no interval."""
    fe_train: int = Field(4000, ge=1, le=99_999)
    """Training images in RAF-DB."""
    fe_test: int = Field(400, ge=0, le=9_999)
    """Test images in RAF-DB."""
    fe_ambiguous: float = Field(0.3, ge=0, le=1)
    """Share of RAF-DB images whose label the AUs do not carry: some cue-only, the others with a wrong label."""
    fe_cue_only: float = Field(0.5, ge=0, le=1)
    """Share of these that are cue-only: gaze or a turn of the head carries the label, and no AU is active. None of them
    is neutral, which no cue is needed for."""
    fe_marked: float = Field(0.0, ge=0, le=1)
    """Share of RAF-DB images that hold no face but coarse noise, with a label drawn evenly: useless, and seen to be."""
    au_marked: float = Field(0.0, ge=0, le=1)
    """Share of BP4D's frames that hold such noise, all AUs unknown: then noise does not tell the streams apart."""
    fe_relevance: float = Field(1.0, ge=0, le=1)
    """Share of the AUs of a face that follow its label; the others are active as often as in BP4D, whatever it is."""
    disfa_frames: int = Field(100, ge=4, le=4845)
    """Frames of each of DISFA's 27 videos."""
    gft_frames: int = Field(30, ge=4, le=1800)
    """Coded frames of each of GFT's 96 participants, before gaps."""
    seed: int = Field(0, ge=0)
    """Seed of everything that is drawn."""


_BESIDE_BP4D: Mapping[str, Callable[[Path, StandinSettings, Callable[[int, int], None] | None], pd.DataFrame]] = (
    MappingProxyType(
        {
            "disfa": lambda home, s, progress: write_disfa(home, s.size, s.disfa_frames, s.seed, progress),
            "gft": lambda home, s, progress: write_gft(home, s.size, s.gft_frames, s.seed, progress),
        }
    )
)
"""What a stand-in for another AU dataset has beside BP4D and RAF-DB."""


@dataclass(frozen=True)
class _Picture:
    """One image to write: where, and the seed words of its own random stream."""

    path: str
    intensity: Floats
    person: tuple[int, ...]
    stream: tuple[int, ...]
    base: tuple[Pose, Scene] | None
    """The pose and the scene that a frame varies around; None for a web photograph."""
    cue: tuple[float, float, float] | None = None
    photo: str = ""
    """Path of the photograph that a web image was cropped from; "" for none. The landmarks of its face go beside it."""
    marked: bool = False
    """Noise instead of a face."""


@dataclass(frozen=True)
class _Drawn:
    """What was drawn for an image beyond its plan."""

    row: dict[str, float]
    landmarks: npt.NDArray[np.float64]


def write_standin(
    out: Path, settings: StandinSettings, progress: Callable[[int, int], None] | None = None, *, dataset: str = "bp4d"
) -> None:
    """Write `OUT/BP4D`, `OUT/RAF-DB`, `OUT/truth/*.parquet` and the marker `OUT/standin.json`.

    For the datasets `disfa` and `gft` write `OUT/DISFA` or `OUT/GFT`, too.

    Everything goes into a temporary folder beside `out` first and is then renamed, so `out` is either complete
    or not there. Processes are started for large stand-ins; their number changes no byte.

    Args:
        out: A folder that does not exist yet, or is empty.
        settings: Everything the files depend on.
        progress: Called with (images written, images).
        dataset: The AU dataset that it is for.

    Raises:
        UserError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """
    with _whole(out) as scratch:
        _write(scratch, settings, progress)
        if dataset in _BESIDE_BP4D:
            truth = _BESIDE_BP4D[dataset](scratch, settings, progress)
            truth.to_parquet(scratch / "truth" / f"{dataset}.parquet", index=False)


def write_people(
    out: Path,
    settings: StandinSettings,
    identities: int,
    views: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write faces without any AU, `OUT/<person>/<view>.jpg`: people of no dataset, each in many poses and lights.

    Args:
        out: A folder that does not exist yet, or is empty.
        settings: Size and seed.
        identities: People.
        views: Images of each.
        progress: Called with (images written, images).

    Raises:
        UserError: As `write_standin`.
    """
    with _whole(out) as scratch:
        _draw_all(scratch, settings, _plan_people(identities, views), progress)
        _mark(scratch, settings)


def _plan_people(identities: int, views: int) -> list[list[_Picture]]:
    """The images of people who are in no dataset, one batch a person."""
    no_au = np.zeros(len(DRAWN_AUS))
    return [
        [_Picture(render_path(i, view), no_au, (_STRANGER, i), (_VIEW, i, view), None) for view in range(views)]
        for i in range(identities)
    ]


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder to write into, that becomes `out` at the end or is deleted.

    Raises:
        UserError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            "the output folder of the stand-in exists and is not empty",
            where=out,
            remedy="name a new folder, or remove this one",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise UserError(f"cannot write beside the output folder: {error.strerror}", where=out) from error
    try:
        yield scratch
        scratch.chmod(0o755)  # mkdtemp makes a private folder; data are for whoever may read the parent
        if out.exists():
            out.rmdir()
        scratch.rename(out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(home: Path, settings: StandinSettings, progress: Callable[[int, int], None] | None) -> None:
    (home / "truth").mkdir()
    frames, batches = _plan_bp4d(home, settings)
    faces, more = _plan_rafdb(home, settings)
    drawn = _draw_all(home, settings, batches + more, progress)
    for name, table in (("bp4d", frames), ("rafdb", faces)):
        rows = pd.DataFrame([drawn[path].row for path in table["path"]], index=table.index)
        pd.concat([table, rows], axis=1).to_parquet(home / "truth" / f"{name}.parquet", index=False)
    _write_tracks(home, settings, frames, drawn)
    _mark(home, settings)


def _mark(home: Path, settings: StandinSettings) -> None:
    marker = {
        "format": MARKER_FORMAT,
        "settings": settings.model_dump(),
        "note": "procedural faces; no person, no licensed image",
    }
    (home / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")


def _draw_all(
    home: Path,
    settings: StandinSettings,
    batches: list[list[_Picture]],
    progress: Callable[[int, int], None] | None,
) -> dict[str, _Drawn]:
    """Write all images; returns, by path, what was drawn for each."""
    total = sum(len(batch) for batch in batches)
    drawn: dict[str, _Drawn] = {}
    for written in _run(home, settings, batches, 1 if total < _SERIAL_BELOW else available_cores()):
        drawn.update(written)
        if progress is not None:
            progress(len(drawn), total)
    return drawn


def _run(
    home: Path, settings: StandinSettings, batches: list[list[_Picture]], workers: int
) -> Iterator[dict[str, _Drawn]]:
    if workers == 1:
        for batch in batches:
            yield _write_batch(home, settings, batch)
        return
    # Spawned, not forked: a fork of a process in which torch or OpenCV run threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(batches)), context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(_write_batch, [home] * len(batches), [settings] * len(batches), batches)


def _write_batch(home: Path, settings: StandinSettings, batch: list[_Picture]) -> dict[str, _Drawn]:
    """Write some images; returns, by path, what was drawn for each."""
    people: dict[tuple[int, ...], Identity] = {}
    drawn = {}
    for picture in batch:
        who = people.get(picture.person)
        if who is None:
            who = people.setdefault(picture.person, draw_identity(_rng(settings, *picture.person)))
        rng = _rng(settings, *picture.stream)
        pose, scene = _pose_and_scene(rng, picture)
        intensity = picture.intensity.tolist()
        save_face(_draw(settings, picture, who, pose, scene, settings.size), home / picture.path)
        tracker = _rng(settings, _TRACKER, *picture.stream)
        if picture.photo:
            _write_photo(home, settings, picture, (who, pose, scene))
        drawn[picture.path] = _Drawn(
            asdict(pose) | {"light": scene.light, "blur": scene.blur, "noise": scene.noise},
            draw_landmarks(tracker, who, intensity, pose, settings.size),
        )
    return drawn


def _write_photo(home: Path, settings: StandinSettings, picture: _Picture, drawn: tuple[Identity, Pose, Scene]) -> None:
    """The photograph that RAF-DB's aligned image was cut from: the same face, smaller and turned further."""
    who, pose, scene = drawn
    rng = _rng(settings, _PHOTO, *picture.stream)
    dx, dy = rng.uniform(-0.25, 0.25, size=2).tolist()
    pose = replace(pose, scale=pose.scale * 0.55, roll=pose.roll + float(rng.normal(0, 0.2)), dx=dx, dy=dy)
    size, intensity = round(1.5 * settings.size), picture.intensity.tolist()
    save_face(_draw(settings, picture, who, pose, scene, size), home / picture.photo)
    points = draw_landmarks(rng, who, intensity, pose, size)
    file = home / "RAF-DB" / MANUAL / f"{Path(picture.photo).stem}_manu_attri.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manual_annotation(points), encoding="ascii", newline="\n")


def _draw(
    settings: StandinSettings, picture: _Picture, who: Identity, pose: Pose, scene: Scene, size: int
) -> npt.NDArray[np.uint8]:
    """The face, or the noise in its place: eight by eight blocks of random colours."""
    if not picture.marked:
        return render_face(who, picture.intensity.tolist(), pose, scene, size)
    blocks = _rng(settings, _MARKED, *picture.stream).integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    place = np.arange(size) * 8 // size
    return np.asarray(blocks[place][:, place])


def _write_tracks(home: Path, settings: StandinSettings, frames: pd.DataFrame, drawn: dict[str, _Drawn]) -> None:
    """BP4D's landmark files: for the frames that are there, but not for all of them."""
    rng = _rng(settings, _FOUND)
    for (subject, task), rows in frames.groupby(["subject", "task"], sort=True):
        lost = find_none(rng, len(rows), UNTRACKED_SHARE)
        found = {
            int(frame): drawn[str(path)].landmarks
            for frame, path, none in zip(rows["frame"], rows["path"], lost, strict=True)
            if not none and (subject, task) != NEVER_TRACKED
        }
        file = home / "BP4D" / LANDMARKS / f"{subject}_{task}.mat"
        write_bp4d_landmarks(file, found, int(rows["frame"].max()))


def _pose_and_scene(rng: np.random.Generator, picture: _Picture) -> tuple[Pose, Scene]:
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


def _rng(settings: StandinSettings, *words: int) -> np.random.Generator:
    return np.random.default_rng([settings.seed, *words])


def _plan_bp4d(home: Path, settings: StandinSettings) -> tuple[pd.DataFrame, list[list[_Picture]]]:
    """Draw the AUs of all sequences, write the coding files, and plan the images, one batch a subject."""
    rng = _rng(settings, _CODED)
    shape = (len(SUBJECTS), len(TASKS))
    # Some sequences hold frames before and after their coded range; a range rarely starts at frame 1.
    before = np.where(rng.random(shape) < 0.3, rng.integers(1, 4, size=shape), 0)
    after = np.where(rng.random(shape) < 0.3, rng.integers(1, 4, size=shape), 0)
    first = np.where(rng.random(shape) < 0.08, 1, rng.integers(5, 1600, size=shape))
    before = np.where(first == 1, 0, before)
    digits = rng.integers(3, 5, size=shape)
    slots = 3 + settings.frames_per_sequence + 3
    coded = np.zeros((*shape, slots), dtype=bool)
    coded[..., 3 : 3 + settings.frames_per_sequence] = True
    sequences = draw_sequences(_rng(settings, _AUS), coded)
    marked = coded & (_rng(settings, _MARKED_AU).random(coded.shape) < settings.au_marked)
    sequences.unknown[marked], sequences.intensity[marked] = True, 0.0
    coding = home / "BP4D" / "AUCoding" / "AU_OCC"
    coding.mkdir(parents=True)
    rows: list[dict[str, object]] = []
    batches: list[list[_Picture]] = []
    there = [s for row in zip_longest(*BP4D.parts.values()) for s in row if s is not None][: settings.au_subjects]
    for s, subject in enumerate(SUBJECTS):
        if subject not in there:
            continue
        batch: list[_Picture] = []
        for t, task in enumerate(TASKS):
            own = _rng(settings, _SEQUENCE, s, t)
            base = (draw_pose(own), draw_scene(own))
            numbers = first[s, t] - 3 + np.arange(slots)
            _write_coding(coding / f"{subject}_{task}.csv", numbers, coded[s, t], sequences, (s, t))
            for f in range(3 - before[s, t], slots - 3 + after[s, t]):
                number = int(numbers[f])
                path = f"BP4D/Sequences(2D+3D)/{subject}/{task}/{number:0{digits[s, t]}d}.jpg"
                values = sequences.intensity[s, t, f]
                noise = bool(marked[s, t, f])
                batch.append(_Picture(path, values, (_PERSON, s), (_FRAME, s, t, f), base, marked=noise))
                row = {"subject": subject, "task": task, "frame": number, "path": path}
                rows.append(row | {"coded": bool(coded[s, t, f]), "marked": noise} | _au_columns(values))
        batches.append(batch)
    return pd.DataFrame(rows), batches


def _write_coding(
    file: Path,
    numbers: npt.NDArray[np.int64],
    coded: npt.NDArray[np.bool_],
    sequences: Sequences,
    at: tuple[int, int],
) -> None:
    """One `AU_OCC` file: header of AU numbers after a first cell 0, codes 0, 1, and 9 for unknown."""
    codes = np.full((len(numbers), len(CODED_COLUMNS)), 9)
    for column, au in enumerate(CODED_COLUMNS):
        if au in DRAWN_AUS:
            k = DRAWN_AUS.index(au)
            codes[:, column] = np.where(sequences.unknown[at][:, k], 9, sequences.occurrence[at][:, k])
    lines = [",".join(map(str, (0, *CODED_COLUMNS)))]
    lines += [",".join(map(str, (number, *row))) for number, row in zip(numbers[coded], codes[coded], strict=True)]
    file.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")


def _plan_rafdb(home: Path, settings: StandinSettings) -> tuple[pd.DataFrame, list[list[_Picture]]]:
    """Draw labels and AUs, write the label list, and plan the images: everyone is seen once."""
    rows: list[dict[str, object]] = []
    pictures: list[_Picture] = []
    for split, images, digits in (("train", settings.fe_train, 5), ("test", settings.fe_test, 4)):
        rng = _rng(settings, _LABELS, digits)
        codes = rng.permutation(np.repeat(np.arange(1, NEUTRAL + 1), class_counts(images)))
        kinds = _kinds(rng, codes, settings.fe_ambiguous, settings.fe_cue_only)
        marks = _rng(settings, _MARKED, digits)
        marked = np.sort(marks.permutation(images)[: round(images * settings.fe_marked)])
        codes[marked] = marks.integers(1, NEUTRAL + 1, size=len(marked))
        kinds[marked] = "marked"
        unrelated = _rng(settings, _UNRELATED, digits)
        for i, (code, kind) in enumerate(zip(codes.tolist(), kinds.tolist(), strict=True)):
            name = f"{split}_{i + 1:0{digits}d}"
            true = code
            if kind == "wrong_label":
                true = int(rng.choice([c for c in range(1, NEUTRAL + 1) if c != code]))
            values = draw_expression(rng, NEUTRAL if kind == "cue_only" else true)
            if kind == "cue_only":
                values = np.minimum(values, 0.06)
            elif settings.fe_relevance < 1:
                values = np.where(unrelated.random(len(values)) < settings.fe_relevance, values, draw_any(unrelated))
            if kind == "marked":
                values = np.zeros_like(values)
            path = f"RAF-DB/{ALIGNED}/{name}_aligned.jpg"
            photo = f"RAF-DB/{ORIGINAL}/{name}.jpg"
            stream = (_WILD, digits, i)
            cue = CUES[code - 1] if kind == "cue_only" else None
            person = (_PERSON, *stream)
            pictures.append(_Picture(path, values, person, stream, None, cue, photo, kind == "marked"))
            row = {"name": f"{name}.jpg", "path": path, "label": code, "true_label": true, "kind": kind}
            rows.append(row | {"consistency": _consistency(rng, kind, values)} | _au_columns(values))
    file = home / "RAF-DB" / LABELS
    file.parent.mkdir(parents=True)
    votes = _rng(settings, _VOTES)
    ballots = "".join(f"{row['name']} {_ballot(votes, row)}\n" for row in rows)
    (home / "RAF-DB" / VOTES).write_text(ballots, encoding="ascii", newline="\n")
    lines = "".join(f"{row['name']} {row['label']}\n" for row in rows)
    file.write_text(lines, encoding="ascii", newline="\n")
    return pd.DataFrame(rows), [pictures[i : i + 250] for i in range(0, len(pictures), 250)]


def _kinds(
    rng: np.random.Generator, codes: npt.NDArray[np.int64], ambiguous: float, share: float
) -> npt.NDArray[np.str_]:
    """What each image with one of RAF-DB's codes is; a neutral face without AUs is clear and never cue-only."""
    unclear = round(len(codes) * ambiguous)
    order = rng.permutation(len(codes))
    cue_only = order[codes[order] != NEUTRAL][: math.floor(unclear * share)]
    kinds = np.full(len(codes), CLEAR, dtype="U11")
    kinds[cue_only] = "cue_only"
    kinds[order[~np.isin(order, cue_only)][: unclear - len(cue_only)]] = "wrong_label"
    return kinds


def _consistency(rng: np.random.Generator, kind: str, intensity: Floats) -> float:
    """Share of simulated annotators who choose the label: more for strong AUs, few for a wrong label."""
    strong = float(intensity.max())
    chance = {
        CLEAR: 0.70 + 0.25 * (strong if strong > 0.3 else 0.6),
        "cue_only": float(rng.uniform(0.35, 0.65)),
        "wrong_label": float(rng.uniform(0.02, 0.20)),
        "marked": 1 / NEUTRAL,
    }[kind]
    return int(rng.binomial(ANNOTATORS, chance)) / ANNOTATORS


def _ballot(rng: np.random.Generator, row: Mapping[str, object]) -> str:
    """Votes for the seven classes: the label has its share, and of the others the true class most."""
    label, true = int(str(row["label"])), int(str(row["true_label"]))
    agreeing = round(float(str(row["consistency"])) * ANNOTATORS)
    chance = np.array([0.0 if k == label else 4.0 if k == true else 1.0 for k in range(1, NEUTRAL + 1)])
    votes = rng.multinomial(ANNOTATORS - agreeing, chance / chance.sum())
    votes[label - 1] = agreeing
    return " ".join(map(str, votes))


def _au_columns(intensity: Floats) -> dict[str, float]:
    return {f"AU{au}": float(value) for au, value in zip(DRAWN_AUS, intensity, strict=True)}
