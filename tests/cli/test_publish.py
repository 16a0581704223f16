"""Pages go beside the store; the committed ones are replaced on request alone, and the report's by whole results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.api import metrics as api_metrics
from benchmark.api import pages, publish
from benchmark.api import results as api_results
from benchmark.config.profile import load_profile
from benchmark.store.results import Results
from benchmark.trials.states import source_hashes
from methods import names
from tests.cli.conftest import Malbench
from tests.integrity.stores import finished_store
from tests.report.conftest import make_results

ROOT = Path(__file__).parents[2]
SEEDS = tuple(load_profile("standin")[0].seeds)


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `reports/` of a checkout of the test's own, with the committed files."""
    folder = tmp_path / "checkout/reports"
    for module in (pages, publish, api_results, api_metrics):
        monkeypatch.setattr(module, "default_reports", lambda: folder)
    folder.mkdir(parents=True)
    for name in ("results.parquet", "cost.json", "readings.json", "tables.md"):
        shutil.copy(ROOT / "reports" / name, folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def of_method(method: str, *, seeds: tuple[int, ...] = SEEDS, parts: tuple[str, ...] = (), **made: object) -> Results:
    """Trials of a method, fresh, sealed and from a commit unless `made` says otherwise."""
    facts = {"source_hash": source_hashes()[method], "commit": "0" * 40, "dirty": False, "sealed": "blake2b", **made}
    chosen = {"parts": parts} if parts else {}
    return make_results((method,), seeds=seeds, provenance=json.dumps(facts), **chosen)


def whole(*others: Results, but: tuple[str, ...] = ()) -> Results:
    """The whole grid of BP4D's stand-in, with other trials in place of those of some methods."""
    return Results.concat([*(of_method(method) for method in names("paper") if method not in but), *others])


def test_a_report_goes_beside_its_store(malbench: Malbench, committed: Path, tmp_path: Path) -> None:
    finished_store(tmp_path / "runs")
    before = content(committed)
    status, out, _ = malbench("report")
    assert (status, f"from {tmp_path / 'runs'}" in out) == (0, True)
    assert (tmp_path / "runs/report/tables.md").is_file()
    assert malbench("metrics")[0] == 0
    assert (tmp_path / "runs/report/metrics.md").is_file()
    assert malbench("status")[1].count("bp4d") > 0  # the store is still read as one
    assert content(committed) == before


WRITERS = (
    ("report",),
    ("report", "--compare", "a.parquet", "b.parquet"),
    ("metrics",),
    ("cost",),
    ("splits", "bp4d", "--page-only"),
    ("cross", "--page-only"),
    ("study", "--page-only"),
    ("gradient-probe",),
    ("readings", "--page-only"),
    ("data", "sheet"),
)
"""Every command that writes pages."""


@pytest.mark.parametrize("command", WRITERS, ids=" ".join)
def test_no_command_replaces_a_committed_page_unasked(
    command: tuple[str, ...], malbench: Malbench, committed: Path
) -> None:
    before = content(committed)
    for folder in (committed, committed / "study", committed / "../reports"):
        status, _, error = malbench(*command, "--out", folder)
        assert (status, "--publish" in error) == (2, True), error
        assert "the folder holds the committed pages" in error
    status, _, error = malbench(*command, "--publish", "--out", committed.parent / "elsewhere")
    assert (status, "--publish and --out name two folders" in error) == (2, True)
    assert content(committed) == before


def test_pages_of_committed_measurements(malbench: Malbench, committed: Path, tmp_path: Path) -> None:
    before = content(committed)
    assert malbench("cost", "--out", tmp_path / "cost")[0] == 0
    assert malbench("readings", "--page-only", "--out", tmp_path / "readings")[0] == 0
    assert {"cost.md", "readings.md"} <= {file.name for file in tmp_path.glob("*/*.md")}
    assert content(committed) == before
    assert malbench("cost", "--publish")[0] == 0
    assert (committed / "cost.md").is_file()


def test_an_installed_package_has_no_committed_page(
    malbench: Malbench, committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "is_checkout", lambda: False)
    status, _, error = malbench("cost", "--publish")
    assert (status, "this is an installed package" in error) == (2, True)
    shutil.copy(committed / "cost.json", tmp_path)
    assert malbench("cost", "--out", tmp_path)[0] == 0


def instead(method: str, **changed: Any) -> Results:
    """The whole grid, with other trials of one method."""
    return whole(of_method(method, **changed), but=(method,))


CASES: dict[str, tuple[Callable[[], Results], str]] = {
    "no method": (
        lambda: whole(but=("mal",)),
        "missing: mal part1 seed 0, 1, 2; mal part2 seed 0, 1, 2; mal part3 seed 0, 1, 2\n",
    ),
    "no part": (lambda: instead("mal", parts=("part1", "part3")), "missing: mal part2 seed 0, 1, 2\n"),
    "no seed": (
        lambda: instead("mal", seeds=(0, 2)),
        "missing: mal part1 seed 1; mal part2 seed 1; mal part3 seed 1\n",
    ),
    "stale": (lambda: instead("stl", source_hash="old"), "stale: stl part1 seed 0"),
    "unsealed": (lambda: instead("stl", unsealed=True), "unsealed: stl part1 seed 0"),
    "changed": (lambda: instead("stl", dirty=True), "made from a changed checkout: stl part1 seed 0"),
    "unknown": (lambda: instead("stl", dirty=None), "made from an unknown commit: stl part1 seed 0"),
    "variant": (
        lambda: whole(make_results(("mal",), seeds=SEEDS, variant="beta=1"), but=("mal",)),
        "missing: mal part1 seed 0",
    ),
    "second profile": (
        lambda: whole(make_results(("stl",), profile="smoke", parts=("part1",))),
        "BP4D, stand-in, profile smoke: missing: l2t_ww part1 seed 0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_results_that_are_not_clean_and_complete_are_not_published(
    case: str, malbench: Malbench, committed: Path, tmp_path: Path
) -> None:
    make, said = CASES[case]
    make().write(tmp_path / "made.parquet")
    before = content(committed)
    status, _, error = malbench("report", "--results", tmp_path / "made.parquet", "--publish")
    assert (status, said in error) == (2, True), error
    assert "remedy:" in error
    assert content(committed) == before


def test_clean_and_complete_results_are_published(malbench: Malbench, committed: Path, tmp_path: Path) -> None:
    whole().write(tmp_path / "made.parquet")
    figures = committed / "figures"
    figures.mkdir()
    for name in (
        "figure5.png",
        "curvesold.svg",
        "answer-old.png",
        "figure4.pdf",
        "cost.png",
        "page.png",
        "standin_faces.png",
    ):
        (figures / name).write_text("old")
    assert malbench("report", "--results", tmp_path / "made.parquet", "--publish")[0] == 0
    assert "MAL (ours, stand-in)" in (committed / "tables.md").read_text(encoding="utf-8")
    # No figure of the last report stands beside those of the new one; those of other commands stay.
    left = {file.name for file in figures.iterdir()}
    drawn = {f"{name}.{kind}" for name in ("figure3", "answer-bp4d") for kind in ("png", "svg", "pdf")}
    assert left == {*drawn, "cost.png", "page.png", "standin_faces.png"}


def test_the_committed_report_is_built_again_from_its_own_results(
    malbench: Malbench, committed: Path, tmp_path: Path
) -> None:
    # A trial is missing: as new results they would be refused.
    results = Results.read(committed / "results.parquet")
    results.select(results.trials["trial"].iloc[1:]).write(committed / "results.parquet")
    shutil.copy(committed / "results.parquet", tmp_path / "same.parquet")
    for source in (committed / "results.parquet", tmp_path / "same.parquet"):
        assert malbench("report", "--results", source, "--publish")[0] == 0
    (committed / "results.parquet").unlink()
    status, _, error = malbench("report", "--results", tmp_path / "same.parquet", "--publish")
    assert (status, "missing: " in error) == (2, True)
