"""One suite over every registered dataset: a new file in benchmark/datasets/ is tested without a new test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark import datasets
from benchmark.config import names
from tests.datasets.contract import CHECKS, Made, make

NAMES = sorted((*datasets.names("au"), *datasets.names("fe")))
ONE_FILE = '''
"""Five AUs of eight people in two parts of their own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.config.protocol import Protocol
from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet, is_standin
from benchmark.datasets.base import AuDataset, Progress, ReadOptions, au_dataset
from benchmark.standin.frames import draw_people, occurrences

PEOPLE = tuple(f"P{k}" for k in range(1, 9))
AUS = (1, 5, 12, 20, 26)


@au_dataset("fiveaus")
class FiveAus(AuDataset):
    """AU 20 is never drawn: it never occurs."""

    title = "Five AUs"
    folder = "FiveAUs"
    protocol = Protocol(
        dataset="fiveaus", folder="FiveAUs", aus=AUS, parts={"odd": PEOPLE[::2], "even": PEOPLE[1::2]}, frames=0,
        sequences=16,
    )

    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        file = root / self.folder / "labels.csv"
        table = pd.read_csv(file).sort_values("path", ignore_index=True) if file.is_file() else pd.DataFrame()
        missing = [path for path in (file, *map(root.joinpath, table.get("path", ()))) if not path.is_file()]
        if missing:
            raise UserError("a file is missing", where=missing[0])
        labels = table[list(protocol.au_names)].to_numpy("int8")
        faces = table[["path", "subject", "sequence", "frame"]]
        faces = faces.assign(sequence=faces["subject"] + "/" + faces["sequence"].astype(str))
        origin = "stand-in" if is_standin(root, faces) else "partial"
        return FaceSet(self.name, root, faces, labels, protocol.au_names, origin, f"{len(faces)} frames")

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        def path_of(subject: str, sequence: str, frame: int) -> str:
            return f"{self.folder}/{subject}/{sequence}_{frame}.jpg"

        truth = draw_people(home, settings, self.name, PEOPLE, AUS, path_of, progress=progress)
        table = truth[["path", "subject", "sequence", "frame"]].join(occurrences(truth, AUS))
        table.to_csv(home / self.folder / "labels.csv", index=False)
        return truth
'''
"""A contributor's file."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """A dataset with its stand-in, written once."""
    done: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in done:
            done[name] = make(name, tmp_path_factory.mktemp(name) / "data")
        return done[name]

    return get


@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str, check: Callable[[Made, Path], None], made: Callable[[str], Made], tmp_path: Path) -> None:
    check(made(name), tmp_path)


def test_a_file_of_a_contributor_is_found_and_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    for entry in datasets.FOLDER.iterdir():
        (folder / entry.name).symlink_to(entry)
    (folder / "fiveaus.py").write_text(ONE_FILE)
    monkeypatch.setattr(datasets, "FOLDER", folder)
    monkeypatch.setattr(names, "DATASETS", folder)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(folder)])
    written = make("fiveaus", tmp_path / "data")
    for check in CHECKS:
        scratch = tmp_path / check.__name__
        scratch.mkdir()
        check(written, scratch)
