"""`malbench score`: the template, and mistakes that are told before any frame is drawn or read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli import main
from benchmark.cli.options import DEFAULT_CACHE, DEFAULT_REPORTS
from benchmark.cli.score import _given
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
    # The command that it prints is whole: with the options that choose the data.
    (shown,) = (line.partition(", then: ")[2] for line in said.splitlines() if ", then: " in line)
    words = shlex.split(shown)
    assert words[:6] == ["malbench", "score", str(target), "bp4d", "--name", "NAME"]
    assert words[6:] == ["--profile", "smoke", "--cache", str(tmp_path / "cache"), *SMALL[2:]]
    status, said = malbench("--template", "bp4d", "--out", target, *SMALL)
    assert (status, "is there already" in said) == (2, True)


def test_the_printed_options_are_those_of_the_caller() -> None:
    root = Path("my data")
    given = _given("mine.toml", ["bp4d.x='a b'"], root, DEFAULT_CACHE, Path("own.parquet"))
    assert given == [
        *("--profile", "mine.toml", "--data", "my data", "--results", "own.parquet", "--set", "bp4d.x='a b'")
    ]
    assert shlex.split(shlex.join(given)) == given
    assert _given(None, [], None, DEFAULT_CACHE, DEFAULT_REPORTS / "results.parquet") == []


def test_all_columns_that_are_missing_are_named_and_none_that_is_read_is_guessed(
    malbench: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    keys = {"subject": ["F001"], "sequence": ["F001/T1"], "frame": [1]}
    pd.DataFrame({**keys, "AU1": [0.5]}).to_csv(tmp_path / "one.csv", index=False)
    status, said = malbench(tmp_path / "one.csv", "bp4d", "--name", "x", *SMALL)
    assert status == 2
    assert f"predictions without {', '.join(BP4D.au_names[1:])}\n" in said
    assert "did you mean" not in said
    assert "malbench score --template bp4d" in said
    spelled = {name.replace("AU1", "au_01", 1): [0.5] for name in BP4D.au_names[:1]}
    spelled |= {name: [0.5] for name in BP4D.au_names[1:]}
    pd.DataFrame({**keys, **spelled}).to_csv(tmp_path / "spelled.csv", index=False)
    status, said = malbench(tmp_path / "spelled.csv", "bp4d", "--name", "x", *SMALL)
    assert (status, "did you mean AU1 by au_01?" in said) == (2, True)


def test_a_wrong_cell_is_named_by_its_line(malbench: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    header = ",".join(["subject", "sequence", "frame", *BP4D.au_names])
    good, bad = (f"F001,F001/T1,{frame},{','.join([cell, *['0.5'] * 11])}" for frame, cell in ((1, "0.5"), (2, "x")))
    (tmp_path / "cells.csv").write_text(f"{header}\n{good}\n\n{bad}\n")
    status, said = malbench(tmp_path / "cells.csv", "bp4d", "--name", "x", *SMALL)
    assert (status, f"where:    {tmp_path / 'cells.csv'}, line 4\n" in said) == (2, True), said


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
