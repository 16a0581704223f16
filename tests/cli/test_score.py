"""`malbench score`: the template, and mistakes that are told before any frame is drawn or read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.datasets.bp4d.protocol import BP4D

SMALL = ("--profile", "smoke", "--set", "standin.au_subjects=6", "--set", "standin.fe_train=4")


@pytest.fixture
def malbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.setenv("MALBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MALBENCH_DATA", raising=False)

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["malbench", "score", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    return call


def test_the_template_names_every_test_frame_and_is_never_overwritten(
    malbench: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    target = tmp_path / "fill.csv"
    status, said = malbench("--template", "bp4d", "--out", target, *SMALL)
    assert status == 0, said
    table = pd.read_csv(target)
    assert f"{len(table):,} test frames" in said
    assert list(table)[:4] == ["subject", "sequence", "frame", "path"]
    assert list(table)[4:] == list(BP4D.au_names)
    assert (tmp_path / "cache" / "standin").is_dir()
    status, said = malbench("--template", "bp4d", "--out", target, *SMALL)
    assert (status, "is there already" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to score"),
        (("p.csv", "bp4d"), "nothing to score"),
        (("p.csv", "--template", "bp4d"), "--template writes a file and reads none"),
        (("p.csv", "bp4d", "--name", "stl"), "the name of the rows is taken"),
        (("p.csv", "bp4d", "--name", "x", "--threshold", "nan"), "the threshold is no number"),
        (("p.csv", "bp4d", "--name", "x", "--from", "openface"), "no adapter 'openface'"),
        (("absent.csv", "bp4d", "--name", "x"), "no such file"),
        (("p.csv", "disfa", "--name", "x"), "these are subjects of bp4d"),
        (("p.csv", "bp4d", "--name", "x", "--from", "openface2"), "no output of OpenFace 2"),
    ],
)
def test_mistakes_draw_nothing(
    arguments: tuple[str, ...], said: str, malbench: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    table = pd.DataFrame(
        {"subject": ["F001"], "sequence": ["F001/T1"], "frame": [1], **dict.fromkeys(BP4D.au_names, 0.5)}
    )
    table.to_csv(tmp_path / "p.csv", index=False)
    given = [tmp_path / argument if argument.endswith(".csv") else argument for argument in arguments]
    status, text = malbench(*given, *SMALL)
    assert (status, said in text) == (2, True), text
    assert "Traceback" not in text
    assert not (tmp_path / "cache").exists()
