"""`malbench metrics`, `splits` and `cross` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.store.results import Results
from tests.cli.small import TINY
from tests.conftest import write_bp4d, write_rafdb
from tests.report.conftest import make_results


@pytest.fixture
def small(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_bp4d(root)
    write_rafdb(root)
    return root


def test_splits_are_run_shown_and_not_run_again(malbench, small: Path, tmp_path: Path) -> None:
    where = ["--data", small, "--allow-incomplete", *TINY, "--runs", tmp_path / "splits", "--out", tmp_path / "out"]
    command = ["splits", "bp4d", "--methods", "stl", "--repeats", "2", "--threads", "1", *where]
    status, out, err = malbench(*command)
    assert (status, err) == (0, "")
    assert out.count("3 trials done") == 2
    page = (tmp_path / "out" / "splits-bp4d.md").read_text(encoding="utf-8")
    assert "Splits: 1, 2; seeds: 0." in page
    trials = Results.read(tmp_path / "out" / "splits-bp4d.parquet").trials
    assert sorted(set(trials["shared_overrides"].str.extract(r"data.split=(\d)")[0])) == ["1", "2"]
    people = {
        tuple(sorted(p))
        for _, p in Results.read(tmp_path / "out" / "splits-bp4d.parquet")
        .counts.groupby("trial")["subject"]
        .unique()
        .items()
    }
    assert len(people) > 3  # the splits test other groups of the six people
    status, out, _ = malbench(*command)
    assert status == 0
    assert out.count("3 done before") == 2
    status, out, _ = malbench(
        "splits", "bp4d", "--page-only", "--runs", tmp_path / "out" / "splits-bp4d.parquet", "--out", tmp_path / "again"
    )
    assert status == 0
    assert (tmp_path / "again" / "splits-bp4d.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("splits", "bp4", "--no-page"), "unknown AU dataset 'bp4'"),
        (("splits", "bp4d", "--methods", "stl,mla"), "unknown method 'mla'"),
        (("splits", "bp4d", "--set", "data.split=3"), "the command sets the splits itself"),
        (("splits", "bp4d", "--page-only", "--runs", "none"), "no method on two random splits"),
        (("cross", "--train", "gft", "--test", "gft"), "no network is tested on another dataset"),
        (("cross", "--train", "gft", "--test", "dsfa"), "unknown AU dataset 'dsfa'"),
        (("cross", "--page-only", "--runs", "none"), "no network was tested on another dataset"),
        (("metrics", "--results", "none.parquet"), "no such file"),
    ],
)
def test_mistakes(malbench, arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    status, _, err = malbench(*arguments, "--out", tmp_path / "out")
    assert status == 2
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_metrics(malbench, tmp_path: Path) -> None:
    make_results(seeds=(0, 1)).write(tmp_path / "made.parquet")
    status, out, err = malbench("metrics", "--results", tmp_path / "made.parquet", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "metrics.md" in out
    assert "Kendall's tau" in (tmp_path / "out" / "metrics.md").read_text(encoding="utf-8")
