"""A trial is done only if its settings, its mark, its place and every file are those of one trial."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli.console import standings
from benchmark.core.errors import UserError
from benchmark.core.hashing import digest_of_file
from benchmark.store.folder import CHECKPOINT, DONE, ERROR, JOB, VERIFIED, TrialFolder
from benchmark.store.summary import Contents, summaries
from benchmark.trials.collect import read_store
from benchmark.trials.ownership import OWNER, read_owner
from benchmark.trials.states import State, source_hashes, state_of
from tests.fuzz.test_fuzz import malbench
from tests.integrity.stores import edit_json, finish, finished_store

PRESENT = source_hashes()


def counts_edited(path: Path) -> None:
    table = pd.read_parquet(path / "counts.parquet")
    table.assign(tp=table["tp"] + 1000).to_parquet(path / "counts.parquet", index=False)


def rate_edited(path: Path) -> None:
    content = json.loads((path / "trial.json").read_text())
    edit_json(path / "trial.json", hparams=content["hparams"] | {"lr": 0.02})


def seed_edited(path: Path) -> None:
    edit_json(path / "trial.json", seed=1)


def label_edited(path: Path) -> None:
    """The profile is no part of the key."""
    edit_json(path / "trial.json", profile="paper")


def renamed(path: Path) -> None:
    path.rename(path.with_name(path.name.replace("seed0", "seed1")))


def method_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name("mtan"))


def moved_up(path: Path) -> None:
    path.rename(path.parent.parent / path.name)


def key_of_zeros(path: Path) -> None:
    lines = (path / DONE).read_text().split("\n")
    (path / DONE).write_text("\n".join(["0" * 16, *lines[1:]]))


def key_of_zeros_everywhere(path: Path) -> None:
    key_of_zeros(path)
    path.rename(path.with_name(path.name[:-16] + "0" * 16))


def seals_cut(path: Path) -> None:
    (path / DONE).write_text((path / DONE).read_text().split("\n")[0] + "\n")


def seal_cut(path: Path) -> None:
    """One file may then be changed freely."""
    lines = (path / DONE).read_text().splitlines(keepends=True)
    (path / DONE).write_text("".join(line for line in lines if "counts" not in line))


def sealed_twice(path: Path) -> None:
    """Of two digests of a file, one may be that of other content."""
    counts_edited(path)
    digest = digest_of_file(path / "counts.parquet").hex()
    (path / DONE).write_text(f"{(path / DONE).read_text()}{digest} counts.parquet\n")


def mark_with_windows_line_ends(path: Path) -> None:
    (path / DONE).write_bytes((path / DONE).read_bytes().replace(b"\n", b"\r\n"))


def settings_renamed(path: Path) -> None:
    (path / "trial.json").rename(path / "trial.json.bak")


def provenance_gone(path: Path) -> None:
    (path / "provenance.json").unlink()


def other_trial(path: Path) -> None:
    """Another whole trial stands in its place."""
    other = finish(path.parents[2] / "other", "stl", seed=7).path
    shutil.rmtree(path)
    shutil.copytree(other, path)
    shutil.rmtree(path.parents[2] / "other")


def counts_a_fifo(path: Path) -> None:
    (path / "counts.parquet").unlink()
    os.mkfifo(path / "counts.parquet")


def settings_a_folder(path: Path) -> None:
    (path / "trial.json").unlink()
    (path / "trial.json").mkdir()


def verification_edited(path: Path) -> None:
    edit_json(path / VERIFIED, steps=410)


CHANGES = (
    counts_edited,
    rate_edited,
    seed_edited,
    label_edited,
    renamed,
    method_renamed,
    moved_up,
    key_of_zeros,
    key_of_zeros_everywhere,
    seals_cut,
    seal_cut,
    sealed_twice,
    mark_with_windows_line_ends,
    settings_renamed,
    provenance_gone,
    other_trial,
    counts_a_fifo,
    settings_a_folder,
)


def only_trial(runs: Path, method: str) -> Path:
    (path,) = (runs / "bp4d" / method).iterdir()
    return path


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_trial_is_not_done_and_not_reported(tmp_path: Path, change: Callable[[Path], None]) -> None:
    runs = finished_store(tmp_path / "runs")
    change(only_trial(runs, "stl"))
    states = [state for _, state in standings(runs, PRESENT, Contents())]
    assert sorted(states) == ["damaged", "done", "done"]
    with pytest.raises(UserError):
        read_store(runs, PRESENT)


def test_a_changed_verification_counts_for_nothing(tmp_path: Path) -> None:
    runs = finished_store(tmp_path / "runs")
    verification_edited(only_trial(runs, "mal"))
    with pytest.raises(UserError, match="has changed since"):
        read_store(runs, PRESENT)
    assert [state for _, state in standings(runs, PRESENT)] == [State.DAMAGED, State.DONE, State.DONE]


def test_a_verification_of_another_trial_counts_for_nothing(tmp_path: Path) -> None:
    runs = finished_store(tmp_path / "runs")
    shutil.copy(only_trial(runs, "mal") / VERIFIED, only_trial(runs, "stl"))
    (made,) = [
        json.loads(row.provenance) for row in read_store(runs, PRESENT).trials.itertuples() if row.method == "stl"
    ]
    assert made["verified"] == {"unsealed": True}


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.rename(path.with_name("x.json"))])
def test_a_verification_that_is_gone_is_missed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    runs = finished_store(tmp_path / "runs")
    change(only_trial(runs, "mal") / VERIFIED)
    with pytest.raises(UserError, match="cannot be read"):
        read_store(runs, PRESENT)
    assert [state for _, state in standings(runs, PRESENT)] == [State.DAMAGED, State.DONE, State.DONE]


@pytest.mark.parametrize("name", ["model.safetensors", "predictions.parquet"])
def test_files_that_no_table_needs_are_compared_by_status_and_by_run(tmp_path: Path, name: str) -> None:
    folder = finish(tmp_path, "stl")
    assert state_of(folder, PRESENT) == State.DONE
    (folder.path / name).write_bytes(b"others")
    (seen,) = summaries(tmp_path, Contents())
    assert seen.fault == f"{name} has changed"
    with pytest.raises(UserError, match="changed") as caught:
        state_of(folder, PRESENT)
    assert caught.value.found == f"{name} has changed"


def test_a_trial_of_a_version_without_seals_is_unsealed_everywhere(tmp_path: Path) -> None:
    folder = finish(tmp_path, "stl")
    content = json.loads((folder.path / "provenance.json").read_text())
    del content["sealed"]
    (folder.path / "provenance.json").write_text(json.dumps(content))
    seals_cut(folder.path)
    assert state_of(folder, PRESENT) == State.UNSEALED
    assert [state for _, state in standings(tmp_path, PRESENT, Contents())] == [State.UNSEALED]
    results = read_store(tmp_path, PRESENT)
    assert results.trials["stale"].all()
    assert json.loads(results.trials["provenance"].iloc[0])["unsealed"] is True


@pytest.mark.parametrize("name", ["prerequisites", "parts", "time_train_s"])
def test_nothing_proves_the_shape_of_an_unsealed_provenance(tmp_path: Path, name: str) -> None:
    folder = finish(tmp_path, "stl", **{"sealed": None, name: [None]})
    seals_cut(folder.path)
    assert state_of(folder, PRESENT) == State.UNSEALED
    with pytest.raises(UserError, match="a finished trial is damaged"):
        read_store(tmp_path, PRESENT)


def interrupted(runs: Path) -> TrialFolder:
    folder = finish(runs, "stl")
    (folder.path / DONE).unlink()
    folder.lock.touch()
    return folder


@pytest.mark.parametrize("name", [CHECKPOINT, OWNER, JOB, ERROR])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe[")])
def test_strange_files_of_an_unfinished_trial_stop_no_list(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    """A read from a FIFO would wait for ever."""
    folder = interrupted(tmp_path)
    make(folder.path / name)
    status, said, error = malbench("status", "--runs", tmp_path)
    assert (status, error) == (0, "")
    assert state_of(folder, PRESENT).value in said
    assert folder.steps_done() is None
    assert read_owner(folder.path) is None


def test_a_file_that_has_not_changed_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(tmp_path, "stl")
    contents, hashed = Contents(), []
    from benchmark.store import summary

    real = summary.has_digest
    monkeypatch.setattr(summary, "has_digest", lambda file, digest: hashed.append(file.name) or real(file, digest))
    for _ in range(2):
        (seen,) = summaries(tmp_path, contents)
        assert seen.fault == ""
    assert sorted(hashed) == sorted(set(hashed))
    assert len(hashed) == 8
    assert isinstance(seen.folder, TrialFolder)
