"""`bp4d.frames=jaa`: the frames of JAA-Net's lists, held against the numbers of frames that were counted on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.data.faces import FaceSet
from benchmark.data.files import Coding
from benchmark.data.known import read_known_csv
from benchmark.datasets.bp4d import HERE
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.selection import WithoutGaps, read_gaps
from benchmark.trials.prepare import pack_faces, read_au
from tests.owners import mock

COUNTED = {
    "F017/T3": 319,
    "F021/T3": 222,
    "F023/T6": 464,
    "M003/T5": 518,
    "M003/T7": 468,
    "M009/T4": 479,
    "M010/T6": 420,
}
"""Lines on the lists BP4D_part{1,2,3}_path.txt of PyTorch-JAANet for each sequence that lacks frames there."""
PARTS = {"part1": 50_601, "part2": 50_166, "part3": 45_809}
"""Lines of each list."""


def test_the_chosen_frames_are_as_many_as_on_the_lists() -> None:
    gaps = read_gaps(HERE / "known_jaa_gaps.csv")
    kept, differing = dict.fromkeys(PARTS, 0), {}
    part_of = {subject: part for part, subjects in BP4D.parts.items() for subject in subjects}
    for row in read_known_csv(HERE / "known_ranges.csv").to_dict("records"):
        frames, name = list(range(row["first"], row["last"] + 1)), f"{row['subject']}/{row['task']}"
        assert gaps.get(name, frozenset()) <= set(frames), name
        coded = Coding(Path(), frames, frames, np.zeros((len(frames), 12), dtype=np.int8))
        chosen = WithoutGaps(gaps).keep(name, coded).frames
        kept[part_of[row["subject"]]] += len(chosen)
        if len(chosen) != len(frames):
            differing[name] = len(chosen)
    assert kept == PARTS
    assert sum(kept.values()) == 146_576
    assert differing == COUNTED


def read(root: Path, *overrides: str) -> FaceSet:
    profile, _ = load_profile("paper", ["data.alignment=as_is", *overrides])
    dataset = datasets.open_au("bp4d", profile)
    return read_au(root, dataset, dataset.protocol, profile)


def test_frames_in_a_gap_are_left_out_and_the_note_and_the_fingerprint_say_so(tmp_path: Path) -> None:
    mock.bp4d(tmp_path)
    home = tmp_path / "BP4D"
    images, coding = sorted((home / "Sequences(2D+3D)/M003/T1").glob("*.jpg")), home / "AUCoding/AU_OCC"
    (home / "Sequences(2D+3D)/M003/T5").mkdir()
    header, *rows = (coding / "M003_T1.csv").read_text().splitlines()
    for number, image, row in zip(range(844, 848), images[1:5], rows, strict=True):
        shutil.copy(image, home / f"Sequences(2D+3D)/M003/T5/{number}.jpg")
        header += f"\n{number},{row.partition(',')[2]}"
    (coding / "M003_T5.csv").write_text(header + "\n")
    whole, jaa = read(tmp_path), read(tmp_path, "bp4d.frames=jaa")
    of_gap = jaa.table["frame"][jaa.table["sequence"] == "M003/T5"]
    assert of_gap.tolist() == [846, 847]
    assert len(whole) - len(jaa) == 2
    assert jaa.note.endswith("; frames as in JAA-Net's lists: 50 of 52 coded ones")
    profile, _ = load_profile("smoke", [])
    prints = {pack_faces(faces, profile, tmp_path / "cache").fingerprint for faces in (whole, jaa)}
    assert len(prints) == 2


def test_the_check_knows_the_ranges_of_the_choice() -> None:
    profile, _ = load_profile("paper", ["bp4d.frames=jaa"])
    known = datasets.open_au("bp4d", profile).known(BP4D)
    assert sum(full.frames for full in known.ranges.values()) == 146_576
    assert {name: known.ranges[name].frames for name in COUNTED} == COUNTED
    assert (known.ranges["M003/T7"].first, known.ranges["F021/T3"].last) == (1462, 222)


def test_the_choice_applies_to_the_truth_of_a_stand_in() -> None:
    profile, _ = load_profile("standin", ["bp4d.frames=jaa"])
    dataset = datasets.open_au("bp4d", profile)
    truth = pd.DataFrame({"subject": "M010", "task": ["T6", "T6", "T6", "T5"], "frame": [941, 942, 958, 942]})
    assert dataset.is_read(truth).tolist() == [True, False, True, True]
