"""The contract of a dataset as checks: each takes one dataset with its stand-in, and fails where it is broken."""

from __future__ import annotations

import csv
import hashlib
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile
from benchmark.core.errors import UserError
from benchmark.data.check import check_au, check_fe
from benchmark.data.faces import UNKNOWN, FaceSet
from benchmark.data.findings import Report
from benchmark.data.known import ACTIVE, TRUTH
from benchmark.data.sampling import make_fold
from benchmark.datasets.base import AuDataset, Dataset, FeDataset, ReadOptions
from benchmark.standin.write import write_standin_root

SMALL = ["standin.size=20", "standin.au_subjects=6", "disfa.standin_frames=4", "standin.fe_train=40"]
"""Size of the stand-ins, under the smoke profile."""
ALIGNMENTS = ("as_is", "landmarks")
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".avi", ".mat"})


@dataclass(frozen=True)
class Made:
    """A dataset and its stand-in."""

    dataset: Dataset
    profile: Profile
    root: Path

    @property
    def home(self) -> Path:
        return self.root / self.dataset.folder

    @property
    def truth(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / TRUTH / f"{self.dataset.name}.parquet")


def opened(name: str, overrides: list[str] | None = None) -> tuple[Dataset, Profile]:
    profile, _ = load_profile("smoke", [*SMALL, *(overrides or [])])
    kind = "au" if name in datasets.names("au", profile) else "fe"
    return (datasets.open_au(name, profile) if kind == "au" else datasets.open_fe(profile, name)), profile


def make(name: str, root: Path, overrides: list[str] | None = None) -> Made:
    dataset, profile = opened(name, overrides)
    write_standin_root(root, [dataset], profile.standin)
    return Made(dataset, profile, root)


def read(made: Made, root: Path, options: ReadOptions | None = None) -> FaceSet:
    dataset, options = made.dataset, options or ReadOptions(images="all")
    if isinstance(dataset, AuDataset):
        return dataset.read(root, dataset.protocol_at(root), options)
    assert isinstance(dataset, FeDataset)
    return dataset.read(root, options)


def checked(made: Made, root: Path, alignment: str = "as_is") -> Report:
    """The report of `malbench data check`."""
    dataset, faults = made.dataset, list[UserError]()
    options = ReadOptions("landmarks" if alignment == "landmarks" else "as_is", images="all", faults=faults)
    faces = read(made, root, options)
    if isinstance(dataset, AuDataset):
        return check_au(faces, dataset, dataset.protocol_at(root), faults)
    assert isinstance(dataset, FeDataset)
    return check_fe(faces, dataset, faults)


def told_about(made: Made, root: Path) -> str:
    """Message to the user about a damaged copy: the reader's error, or the faults of the check."""
    try:
        return "\n".join(" | ".join((f.what, f.where, f.expected, f.found)) for f in checked(made, root).faults)
    except UserError as error:
        return str(error)


def digests(root: Path) -> dict[str, str]:
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def assert_same(one: FaceSet, two: FaceSet) -> None:
    pd.testing.assert_frame_equal(one.table, two.table)
    assert one.labels.dtype == two.labels.dtype
    assert np.array_equal(one.labels, two.labels)
    assert one.label_names == two.label_names
    assert (one.points is None) == (two.points is None)
    assert one.points is None or np.array_equal(one.points, two.points)  # type: ignore[arg-type]
    assert (one.origin, one.note) == (two.origin, two.note)


def labels_are_the_ground_truth(made: Made, scratch: Path) -> None:
    faces, dataset, truth = read(made, made.root), made.dataset, made.truth.set_index("path")
    assert faces.origin == "stand-in"
    assert faces.table["path"].is_unique
    if isinstance(dataset, FeDataset):
        assert set(faces.table["path"]) == set(truth.index)
        named = np.array(faces.label_names)[faces.labels]
        assert named.tolist() == truth["label"].reindex(faces.table["path"]).tolist()
        assert faces.table["sequence"].tolist() == truth["split"].reindex(faces.table["path"]).tolist()
        assert set(read(made, made.root, ReadOptions()).table["sequence"]) == {"train"}
        return
    assert isinstance(dataset, AuDataset)
    protocol = dataset.protocol_at(made.root)
    assert protocol.aus == dataset.protocol.aus
    assert protocol.parts == dataset.protocol.parts
    assert protocol.dataset == dataset.name
    assert faces.label_names == protocol.au_names
    assert faces.labels.shape == (len(faces), len(protocol.aus))
    coded = truth[truth["coded"]]
    assert set(faces.table["path"]) == set(coded.index[dataset.is_read(coded)])
    occurs = (truth.loc[faces.table["path"], list(protocol.au_names)] > ACTIVE).to_numpy()
    known = faces.labels != UNKNOWN
    assert known.mean() > 0.9
    assert (faces.labels[known] == occurs[known]).all()
    sequences = dataset.sequences_of(truth.reset_index()).set_axis(truth.index)
    assert faces.table["sequence"].tolist() == sequences.loc[faces.table["path"]].tolist()


def order_changes_nothing(made: Made, scratch: Path) -> None:
    """Files are copied in another order; rows and columns of tables are shuffled."""
    rng, root = random.Random(0), scratch / "data"  # no secret is drawn
    files = [p for p in sorted(made.root.rglob("*")) if p.is_file()]
    rng.shuffle(files)
    for file in files:
        target = root / file.relative_to(made.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    tables = sorted((root / made.dataset.folder).rglob("*.csv"))
    for file in tables:
        shuffle_table(file, rng)
    listed = root / labels_of(made)
    if listed.suffix == ".txt":
        lines = listed.read_text().splitlines(keepends=True)
        listed.write_text("".join(rng.sample(lines, len(lines))))
    for alignment in ALIGNMENTS:
        options = ReadOptions("landmarks" if alignment == "landmarks" else "as_is", images="all")
        assert_same(read(made, root, options), read(made, made.root, options))


def shuffle_table(file: Path, rng: random.Random) -> None:
    """Shuffle the rows of a CSV file below the first one, and its columns after the first one."""
    with file.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    columns = list(range(1, len(header)))
    rng.shuffle(columns)
    rng.shuffle(rows)
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([[row[i] for i in (0, *columns)] for row in (header, *rows)])


def nobody_is_trained_on_and_tested(made: Made, scratch: Path) -> None:
    if not isinstance(made.dataset, AuDataset):
        return
    protocol, faces = made.dataset.protocol_at(made.root), read(made, made.root)
    subjects, tested = faces.table["subject"], list[int]()
    assert set(subjects) <= protocol.subjects
    for part in protocol.parts:
        fold = make_fold(faces, protocol, part, 0, fraction=0.02, minimum=16)
        learning = set(subjects[fold.train]) | set(subjects[fold.val])
        assert not learning & set(subjects[fold.test])
        assert set(subjects[fold.test]) <= set(protocol.parts[part])
        tested += fold.test.tolist()
    assert len(tested) == len(set(tested))


def a_whole_standin_passes_its_check(made: Made, scratch: Path) -> None:
    for alignment in ALIGNMENTS:
        assert not checked(made, made.root, alignment).faults


def a_removed_file_is_named(made: Made, scratch: Path) -> None:
    image = Path(made.truth.query("coded")["path"].iloc[0] if "coded" in made.truth else made.truth["path"].iloc[0])
    image = Path(str(image).split("#", maxsplit=1)[0])  # a frame of a video
    removed = [image, labels_of(made)]
    for number, file in enumerate(removed):
        root = scratch / f"removed{number}"
        shutil.copytree(made.root, root)
        if (root / file).is_dir():
            shutil.rmtree(root / file)
        else:
            (root / file).unlink()
        told = told_about(made, root)
        # By the file, by the class or the sequence that its folder is, or by the subject that its name begins with.
        names = [file.name, file.parent.name, re.split(r"[_.]", file.name)[0]]
        assert any(name in told for name in names), told


def labels_of(made: Made) -> Path:
    """A label file, relative to the data root."""
    if isinstance(made.dataset, FeDataset):
        return made.dataset.label_source(made.root).relative_to(made.root)
    files = [p for p in sorted(made.home.rglob("*")) if p.is_file() and p.suffix.lower() not in _IMAGES]
    return files[0].relative_to(made.root)


def unknown_settings_are_refused(made: Made, scratch: Path) -> None:
    with pytest.raises(UserError, match=rf"unknown setting '{made.dataset.name}\.nonsense'"):
        opened(made.dataset.name, [f"{made.dataset.name}.nonsense=1"])


def equal_settings_give_equal_bytes(made: Made, scratch: Path) -> None:
    assert digests(make(made.dataset.name, scratch / "again").root) == digests(made.root)
    assert digests(make(made.dataset.name, scratch / "other", ["standin.seed=1"]).root) != digests(made.root)


CHECKS: tuple[Callable[[Made, Path], None], ...] = (
    labels_are_the_ground_truth,
    order_changes_nothing,
    nobody_is_trained_on_and_tested,
    a_whole_standin_passes_its_check,
    a_removed_file_is_named,
    unknown_settings_are_refused,
    equal_settings_give_equal_bytes,
)
"""All checks."""
