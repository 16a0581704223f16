"""Checkpoints without pickle, and the results file."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from benchmark.config.protocol import EMOTIONS
from benchmark.core.errors import UserError
from benchmark.store.folder import (
    DONE,
    JOB,
    TRIAL,
    TrialFolder,
    glance,
    load_tree,
    save_tree,
    weight_statistics,
    write_atomically,
)
from benchmark.store.results import COLUMNS, Results

leaf = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.integers(0, 3).map(lambda n: torch.arange(n * 2, dtype=torch.float32).reshape(n, 2)),
)
trees = st.recursive(
    leaf,
    lambda c: st.one_of(st.lists(c, max_size=3), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), c)),
)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_trees_round_trip_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    file = tmp_path_factory.mktemp("t") / "x.safetensors"
    save_tree(file, tree)
    assert same(load_tree(file), tree)
    assert [p.name for p in file.parent.iterdir()] == ["x.safetensors"]


def test_a_damaged_checkpoint_is_a_plain_error(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_tree(file, {"a": torch.zeros(100)})
    file.write_bytes(file.read_bytes()[:150])
    with pytest.raises(UserError, match="damaged"):
        load_tree(file)


def test_two_writers_of_one_file_never_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins and ends while the first is paused in the middle of its write."""
    file, real, seen = tmp_path / "x", os.fsync, []

    def paused(number: int) -> None:
        real(number)
        if not seen:
            seen.append("first")
            write_atomically(file, b"second")
            seen.append(file.read_text())

    monkeypatch.setattr(os, "fsync", paused)
    write_atomically(file, b"the first")
    assert seen == ["first", "second"]
    assert file.read_text() == "the first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomically(tmp_path / "x", b"before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(tmp_path / "x", b"after")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "before")]


def some_results() -> Results:
    row = {
        name: {"string": "x", "int64": 3, "float64": 0.5, "bool": True}[kind]
        for name, kind in COLUMNS["trials"].items()
    } | {"settings": "{}", "provenance": "{}"}
    return Results(
        trials=pd.DataFrame([row]),
        counts=pd.DataFrame([{"trial": "x", "subject": "F001", "au": "AU1", "tp": 1, "fp": 2, "fn": 3, "tn": 4}]),
        scores=pd.DataFrame([{"trial": "x", "au": "AU1", "f1": 0.25, "auc": np.nan}]),
        curves=pd.DataFrame([{"trial": "x", "step": 0, "series": "loss_au", "value": 8.3}]),
        weights=pd.DataFrame([{"trial": "x", "name": "mean", "value": 0.4}]),
    )


def test_the_name_of_a_job_is_no_part_of_a_result(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path)
    folder.write_json("provenance.json", {"steps": 3})
    folder.write_json(JOB, {"job": "1"})
    folder.finish("0123456789abcdef")
    assert set(folder.seals()) == {"provenance.json"}
    folder.write_json(JOB, {"job": "2"})
    assert folder.is_done


def test_statistics_of_the_weights_by_hand() -> None:
    table = pd.DataFrame(
        {
            "label": [0, 0, 0, 1, 1, 1],
            "weight": [0.1, 0.2, 0.3, 0.9, 0.8, 0.7],
            "consistency": [0.5, 0.6, 0.7, 0.2, 0.3, 0.4],
        }
    )
    found = weight_statistics(table)
    assert found["mean"] == pytest.approx(0.5)
    assert found["spearman_consistency_within"] == pytest.approx(0.0)  # +1 in one class, -1 in the other
    assert found["spearman_consistency"] == pytest.approx(spearmanr(table["weight"], table["consistency"]).statistic)
    assert set(weight_statistics(table.drop(columns="consistency"))) == {"mean", "sd"}


def test_weights_by_active_aus_by_hand() -> None:
    """Of three classes one has images with all its AUs and without; fear has no other image, neutral no AUs."""
    happiness, fear, neutral = (EMOTIONS.index(name) for name in ("happiness", "fear", "neutral"))
    aus = dict.fromkeys(("AU1", "AU4", "AU5", "AU6", "AU9", "AU12", "AU26"), False)
    rows = [
        {"label": happiness, "weight": 0.9, **aus, "AU6": True, "AU12": True},
        {"label": happiness, "weight": 0.5, **aus, "AU12": True},
        {"label": happiness, "weight": 0.3, **aus},
        {"label": fear, "weight": 0.7, **aus, "AU1": True},
        {"label": neutral, "weight": 0.1, **aus},
    ]
    found = weight_statistics(pd.DataFrame(rows))
    assert found["with_au"] == pytest.approx((0.9 + 0.5 + 0.7) / 3)
    assert found["without_au"] == pytest.approx((0.3 + 0.1) / 2)
    assert found["with_related_au"] == pytest.approx(0.9)
    assert found["without_related_au"] == pytest.approx((0.5 + 0.3) / 2)


def test_results_round_trip(tmp_path: Path) -> None:
    before = some_results()
    before.write(tmp_path / "r.parquet")
    after = Results.read(tmp_path / "r.parquet")
    for name in COLUMNS:
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))


def test_strange_results_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results file"):
        Results.read(tmp_path / "nothing")
    file = tmp_path / "r.parquet"
    file.write_bytes(b"not parquet")
    with pytest.raises(UserError, match="not a readable parquet"):
        Results.read(file)
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(UserError, match="not a results file"):
        Results.read(file)


def test_staleness_is_told_anew_from_a_results_file(tmp_path: Path) -> None:
    results = some_results()
    made = replace(results, trials=results.trials.assign(provenance='{"source_hash": "abc"}', method="mal"))
    made.write(tmp_path / "r.parquet")
    again = Results.read(tmp_path / "r.parquet")
    assert not again.marked({"mal": "abc"}).trials["stale"].any()
    assert again.marked({"mal": "other"}).trials["stale"].all()
    assert again.marked({}).trials["stale"].all()  # a method that is not here any more


def test_one_trial_stands_once() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Results.concat([some_results(), some_results()])


def test_a_done_trial_without_provenance_is_not_left_out(tmp_path: Path) -> None:
    folder = TrialFolder(tmp_path / "bp4d" / "stl" / "part1-s0-0123456789abcdef")
    folder.path.mkdir(parents=True)
    said = {"dataset": "bp4d", "method": "stl", "part": "part1", "profile": "smoke", "seed": 0}
    folder.write_text(DONE, "0123456789abcdef\n")
    with pytest.raises(UserError, match="cannot be read") as caught:
        list(glance(tmp_path))
    assert caught.value.found == "no trial.json, and yet it is done"
    folder.write_json(TRIAL, said)
    with pytest.raises(UserError, match="cannot be read") as caught:
        list(glance(tmp_path))
    assert caught.value.found == "no provenance.json, and yet it is done"
    (folder.path / DONE).unlink()
    (seen,) = glance(tmp_path)
    assert not seen.is_done
