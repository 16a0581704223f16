"""The page of the splits from made-up results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import UserError
from benchmark.report.cells import Table
from benchmark.report.groups import group_results
from benchmark.report.splits import splits_of, write_splits
from benchmark.stats.counts import mean_over_parts
from benchmark.store.results import Results
from tests.report.conftest import make_results


def of_split(number: int, *, seeds: tuple[int, ...] = (0,), skill: float = 0.7, **columns: object) -> Results:
    """Trials of two methods on a split; `skill` makes splits differ."""
    settings = {"data": {"split": number} if number else {}, "train": {"steps": 2}}
    skills = {"stl": skill, "mtl": skill + 0.02}
    made = {"shared_overrides": f"data.split={number}" if number else "", "settings": json.dumps(settings), **columns}
    return make_results(("stl", "mtl"), seeds=seeds, skills=skills, **made)


def rows_of(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}


def values_of(results: Results, method: str) -> np.ndarray:
    (group,) = group_results(results)
    return 100 * mean_over_parts(next(row for row in group.rows if row.method == method).counts).ave_by_seed


def test_spread_of_methods_and_of_their_difference() -> None:
    splits = [of_split(number, skill=0.6 + 0.05 * number) for number in (1, 2, 3)]
    (family,) = splits_of(Results.concat([of_split(0), *splits]))
    stl, mtl = (np.array([values_of(split, name)[0] for split in splits]) for name in ("stl", "mtl"))
    row = rows_of(family.methods)["STL"]
    assert row[:3] == ["59.2", "3", f"{stl.mean():.1f}"]
    assert row[3].startswith(f"{stl.std(ddof=1):.1f} [")
    assert row[4:6] == [f"{stl.min():.1f}", f"{stl.max():.1f}"]
    row = rows_of(family.differences)["MTL − STL"]
    moved = mtl - stl
    assert row[:3] == ["+0.5", "3", f"{moved.mean():+.1f}"]  # the paper prints 59.7 and 59.2
    assert row[6] == f"{(moved > 0).sum()} of 3"
    assert row[7] == f"{0.5 / moved.std(ddof=1):.1f}"
    assert row[8:] == ["-"] * 3  # one seed: split and training are not told apart
    assert family.facts == "Splits: 1, 2, 3; seeds: 0."
    ends = f"MTL − STL lies between {moved.min():+.1f} and {moved.max():+.1f} F1"
    assert ends in family.answer and family.answer.endswith("the paper prints +0.5 on its one split.")


def test_two_seeds_tell_split_and_training_apart() -> None:
    splits = [of_split(number, seeds=(0, 1), skill=0.6 + 0.05 * number) for number in (1, 2, 3)]
    (family,) = splits_of(Results.concat(splits))
    row = rows_of(family.methods)["MTL"]
    values = np.stack([values_of(split, "mtl") for split in splits])
    residual = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    rest = (residual**2).sum() / 2
    assert row[10] == f"{np.sqrt(rest):.1f}"
    assert row[8] == f"{np.sqrt(values.mean(axis=1).var(ddof=1) - rest / 2):.1f}"


def test_the_split_of_the_protocol_and_a_lone_split_are_no_spread() -> None:
    with pytest.raises(UserError, match="no method on two random splits"):
        splits_of(Results.concat([of_split(0), of_split(1)]))


def test_an_unfinished_split_is_left_out() -> None:
    partial = of_split(4, parts=("part1",))
    (family,) = splits_of(Results.concat([of_split(1), of_split(2), partial]))
    assert rows_of(family.methods)["STL"][1] == "2"


def test_splits_without_a_seed_in_common_are_no_spread() -> None:
    with pytest.raises(UserError, match="no method on two random splits"):
        splits_of(Results.concat([of_split(1, seeds=(0,)), of_split(2, seeds=(1,))]))


def test_other_settings_are_another_family() -> None:
    apart = [of_split(number, profile="smoke") for number in (1, 2)]
    families = splits_of(Results.concat([of_split(1), of_split(2), *apart]))
    assert [family.title.rsplit(" ", 1)[1] for family in families] == ["smoke", "standin"]


def test_stale_trials_are_counted() -> None:
    (family,) = splits_of(Results.concat([of_split(1, stale=True), of_split(2)]))
    assert family.facts.endswith("6 of 12 trials are stale: the code has changed since.")


def test_page(tmp_path: Path) -> None:
    text = write_splits(Results.concat([of_split(1), of_split(2)]), tmp_path).read_text(encoding="utf-8")
    assert "## BP4D, stand-in, profile standin" in text
    assert "nan" not in text
