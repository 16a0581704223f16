"""`malbench verify`: trials of other sources become fresh where steps and scores agree, and never where they differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark import api
from benchmark.core.hashing import digest_of_bytes
from benchmark.store.folder import DONE, VERIFIED, TrialFolder, trial_folders
from benchmark.trials.states import State, source_hashes, state_of
from benchmark.trials.verify import Agreement, compare_tables


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Path:
    return shared_cache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A store with one trial of MTL and one of L2T-WW, with its stage."""
    runs = tmp_path_factory.mktemp("runs")
    request = api.GridRequest(
        "bp4d",
        methods=("mtl", "l2t_ww"),
        parts=("part1",),
        profile="smoke",
        runs=runs,
        cache=cache,
        execution=api.Execution("cpu", 1),
    )
    api.run(request)
    return runs


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def folders(store: Path) -> dict[str, TrialFolder]:
    return {folder.path.parent.name: folder for folder in trial_folders(store)}


def reseal(folder: TrialFolder) -> None:
    """Make DONE name the hashes of the files as they are: damage that seals cannot show."""
    key, *lines = (folder.path / DONE).read_text().splitlines()
    names = [line.partition(" ")[2] for line in lines]
    seals = [f"{digest_of_bytes((folder.path / name).read_bytes())} {name}" for name in names]
    (folder.path / DONE).write_text("\n".join([key, *seals, ""]))


def make_stale(folder: TrialFolder) -> None:
    file = folder.path / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"source_hash": "0" * 16}))
    reseal(folder)


def verify(store: Path, cache: Path, **options: object) -> dict[str, Agreement]:
    outcomes = api.verify(store, cache=cache, device="cpu", threads=1, **options)  # type: ignore[arg-type]
    return {outcome.label.split()[1]: outcome.agreement for outcome in outcomes}


def test_stale_trials_that_agree_become_fresh(store: Path, cache: Path) -> None:
    for folder in folders(store).values():
        make_stale(folder)
    assert set(api.read_results(store).trials["stale"]) == {True}
    assert verify(store, cache) == {"mtl": "bit for bit", "l2t_ww": "bit for bit", "fe_source": "bit for bit"}
    present = source_hashes()
    assert {state_of(folder, present) for folder in folders(store).values()} == {State.DONE}
    trials = api.read_results(store).trials
    assert set(trials["stale"]) == {False}
    assert all(json.loads(text)["verified"]["agreement"] == "bit for bit" for text in trials["provenance"])
    assert verify(store, cache) == {}


def test_a_changed_history_is_refused(store: Path, cache: Path) -> None:
    folder = folders(store)["mtl"]
    history = pd.read_parquet(folder.path / "history.parquet")
    history.loc[0, "loss_au"] *= 1.001
    history.to_parquet(folder.path / "history.parquet", index=False)
    make_stale(folder)
    assert verify(store, cache)["mtl"] == "differs"
    assert not (folder.path / VERIFIED).exists()
    assert state_of(folder, source_hashes()) == State.STALE


def test_changed_counts_are_refused(store: Path, cache: Path) -> None:
    folder = folders(store)["mtl"]
    counts = pd.read_parquet(folder.path / "counts.parquet")
    counts.loc[0, ["tp", "fn"]] = counts.loc[0, ["fn", "tp"]].to_numpy() + 1
    counts.to_parquet(folder.path / "counts.parquet", index=False)
    make_stale(folder)
    assert verify(store, cache)["mtl"] == "differs"


def test_scores_within_the_tolerance_are_not_called_exact(store: Path, cache: Path) -> None:
    folder = folders(store)["mtl"]
    scores = pd.read_parquet(folder.path / "scores.parquet")
    scores["auc"] *= 1 + 5e-6
    scores.to_parquet(folder.path / "scores.parquet", index=False)
    make_stale(folder)
    assert verify(store, cache)["mtl"] == "within 1e-5"


def test_other_data_cannot_be_verified(store: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    api.write_standin("bp4d", other, profile="smoke", overrides=["standin.seed=7"])
    make_stale(folders(store)["mtl"])
    found = verify(store, cache, root=other)
    assert found["mtl"] == "cannot be verified"


def test_a_new_run_of_a_trial_drops_its_mark(store: Path, cache: Path) -> None:
    folder = folders(store)["mtl"]
    make_stale(folder)
    verify(store, cache)
    assert (folder.path / VERIFIED).is_file()
    folder.reopen()
    assert not (folder.path / VERIFIED).exists()


def test_closeness_is_relative() -> None:
    table = pd.DataFrame({"step": [0, 20], "loss_au": [8.0, 4.0]})
    assert compare_tables(table, table)[0] == Agreement.EXACT
    assert compare_tables(table, table * (1 + 5e-6))[0] == Agreement.CLOSE
    agreement, detail = compare_tables(table.assign(loss_au=[8.0, 4.01]), table)
    assert agreement == Agreement.DIFFERS
    assert detail == "step 20: loss_au 4.01 for 4"


def test_a_results_file_is_verified_by_itself(store: Path, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    for folder in folders(store).values():
        make_stale(folder)
    api.read_results(store).write(file)
    options = {"cache": cache, "device": "cpu", "threads": 1}
    empty = tmp_path / "empty"
    found = {o.label.split()[1]: o.agreement for o in api.verify(empty, results=file, **options)}  # type: ignore[arg-type]
    assert found == {"mtl": "bit for bit", "l2t_ww": "cannot be verified"}  # its stage is in no store
    assert dict(api.read_results(file).trials[["method", "stale"]].itertuples(index=False)) == {
        "mtl": False,
        "l2t_ww": True,
    }
    found = {o.label.split()[1]: o.agreement for o in api.verify(store, results=file, **options)}  # type: ignore[arg-type]
    assert found == {"l2t_ww": "bit for bit"}
    assert not api.read_results(file).trials["stale"].any()


def test_scores_that_are_not_of_the_counts_are_refused(store: Path, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    results = api.read_results(store)
    results.scores.loc[results.scores["f1"].first_valid_index(), "f1"] = 0.123
    results.write(file)
    outcomes = api.verify(store, results=file, every=True, cache=cache, device="cpu", threads=1)
    assert "differs" in {outcome.agreement for outcome in outcomes}
