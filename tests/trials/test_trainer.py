"""Whole trials on a small data root: what is written, and resuming after a kill."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from sklearn.metrics import f1_score

from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile
from benchmark.config.trial import Trial
from benchmark.core.errors import Interrupted, UserError
from benchmark.data.augment import ImageInput
from benchmark.data.sampling import make_fold
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.store.folder import TrialFolder
from benchmark.trials.collect import read_store
from benchmark.trials.prepare import prepare_data
from benchmark.trials.runner import run_trials
from benchmark.trials.setup import Streams
from benchmark.trials.states import OutcomeState, State, source_hashes, state_of
from benchmark.trials.trainer import RunOptions, train_trial
from methods import discover
from methods.base import Batch, Method, Scalars, Stream
from tests.chaos.process import CONTEXT
from tests.conftest import write_bp4d, write_rafdb
from tests.grids import expanded, read_faces

REGISTRY = discover()
SETTINGS = (
    "data.alignment=as_is",
    "data.frame_size=36",
    "method.backbone=test_resnet",
    "method.optimizer=adam",
    "method.memory_format=channels_last",
    "method.schedule=cosine",
    "methods.mal.meta_optimizer=adam",
    "train.steps=24",
    "train.batch_au=6",
    "train.batch_fe=6",
)
CPU = torch.device("cpu")


def load(root: Path) -> tuple[Profile, tuple[str, ...], TrialData]:
    profile, changed = load_profile("smoke", SETTINGS)
    return profile, changed, prepare_data(read_faces(root, profile), profile, root / "cache")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_bp4d(root)
    write_rafdb(root)
    return root


def trial_of(root: Path, method: str, part: str = "part1") -> tuple[Trial, TrialData]:
    profile, changed, data = load(root)
    prints = (data.au.fingerprint, data.fe.fingerprint)
    return expanded(BP4D, profile, changed, REGISTRY, prints, methods=(method,), parts=(part,))[0], data


def train(root: Path, runs: Path, method: str, kill_at: int | None = None) -> None:
    """Run one trial with a checkpoint after every step; die without warning at step `kill_at`."""
    torch.set_num_threads(1)
    trial, data = trial_of(root, method)

    def on_step(_: str, done: int, __: int) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    options = RunOptions(CPU, checkpoint_s=0.0, on_step=on_step)
    run_trials([trial], REGISTRY, BP4D, data, runs, options)


def in_process(*arguments: object) -> int | None:
    process = CONTEXT.Process(target=train, args=arguments)
    process.start()
    process.join()
    return process.exitcode


RESULT_FILES = {
    *("counts.parquet", "scores.parquet", "predictions.parquet", "history.parquet", "model.safetensors"),
    *("snapshots.parquet", "au_val.parquet", "audit.parquet"),
}


def test_killed_three_times_it_ends_bit_identical(root: Path, tmp_path: Path) -> None:
    method = "mal"  # the method with the most state: two optimisers, a meta net, batch-norm buffers
    assert in_process(root, tmp_path / "whole", method) == 0
    for kill_at in (1, 9, 22):
        assert in_process(root, tmp_path / "killed", method, kill_at) == -signal.SIGKILL
    (folder,) = (tmp_path / "killed" / "bp4d" / method).iterdir()
    assert not (folder / "DONE").exists()
    assert state_of(TrialFolder(folder), source_hashes(REGISTRY)) == State.INTERRUPTED
    assert in_process(root, tmp_path / "killed", method) == 0
    (whole,) = (tmp_path / "whole" / "bp4d" / method).iterdir()
    assert whole.name == folder.name
    for name in RESULT_FILES | {"fe_weights.parquet"}:
        assert (whole / name).read_bytes() == (folder / name).read_bytes(), name
    assert not (folder / "checkpoint.safetensors").exists()


@pytest.fixture(scope="module")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trial, TrialData]:
    runs = tmp_path_factory.mktemp("runs")
    trial, data = trial_of(root, "mal")
    run_trials([trial], REGISTRY, BP4D, data, runs, RunOptions(CPU))
    return runs, trial, data


def test_a_finished_trial_has_its_files(finished: tuple[Path, Trial, TrialData]) -> None:
    runs, trial, _ = finished
    folder = trial.folder(runs)
    names = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
    assert names == RESULT_FILES | {"trial.json", "provenance.json", "fe_weights.parquet", "DONE"}
    made = json.loads((folder / "provenance.json").read_text())
    assert made["origin"] == "partial"
    assert made["frames"] == {"train": 36, "au_val": 12, "test": 24}
    assert made["packages"]["torch"] == torch.__version__
    history = pd.read_parquet(folder / "history.parquet")
    assert list(history["step"]) == [0, 20, 23]
    assert history["weight_fe"][0] == 0.5
    assert len(pd.read_parquet(folder / "fe_weights.parquet")) == 14


def test_scores_follow_from_the_stored_predictions(finished: tuple[Path, Trial, TrialData]) -> None:
    runs, trial, data = finished
    folder = trial.folder(runs)
    predictions, counts, scores = (
        pd.read_parquet(folder / f"{n}.parquet") for n in ("predictions", "counts", "scores")
    )
    assert set(predictions["subject"]) == set(BP4D.parts["part1"]) & set(data.au.faces.table["subject"])
    for au in BP4D.au_names:
        known = predictions[f"label_{au}"] >= 0
        truth, predicted = predictions.loc[known, f"label_{au}"], predictions.loc[known, f"logit_{au}"] > 0
        expected = f1_score(truth, predicted, zero_division=np.nan)
        assert scores.set_index("au").loc[au, "f1"] == pytest.approx(expected, nan_ok=True)
        cells = counts[counts["au"] == au][["tp", "fp", "fn", "tn"]].to_numpy()
        assert cells.sum() == known.sum()


def test_results_of_the_store(finished: tuple[Path, Trial, TrialData]) -> None:
    runs, trial, _ = finished
    results = read_store(runs, source_hashes(REGISTRY))
    row = results.trials.iloc[0]
    assert row["trial"] == trial.key
    assert row["paper_row"] == "MAL"
    assert not row["stale"]
    assert row["steps"] == 24
    assert set(results.curves["series"]) >= {"loss_au", "loss_fe", "weight_au", "weight_fe", "fe_share"}
    assert bool(read_store(runs, {"mal": "other sources"}).trials["stale"].iloc[0])


def test_a_copied_folder_is_named(finished: tuple[Path, Trial, TrialData], tmp_path: Path) -> None:
    runs, trial, _ = finished
    for name in (trial.folder(runs).name, "backup"):
        shutil.copytree(trial.folder(runs), tmp_path / "bp4d" / "mal" / name)
    with pytest.raises(UserError, match="renamed or moved"):
        read_store(tmp_path, {})


def test_a_checkpoint_of_other_code_is_not_continued(root: Path, tmp_path: Path) -> None:
    trial, data = trial_of(root, "stl")
    folder = TrialFolder(tmp_path)
    steps: list[int] = []

    class Stop(Exception):
        pass

    def stop(_: str, done: int, __: int) -> None:
        steps.append(done)
        if done == 5:
            raise Stop

    arguments = (trial, REGISTRY["stl"], BP4D, data, folder)
    with pytest.raises(Stop):
        train_trial(*arguments, RunOptions(CPU, 0.0, stop), "code a")
    for code, first in (("code a", 5), ("code b", 1)):
        steps.clear()
        with pytest.raises(Stop):
            train_trial(*arguments, RunOptions(CPU, 0.0, stop), code)
        assert steps[0] == first


def test_a_done_trial_is_skipped_and_a_locked_one_left(finished: tuple[Path, Trial, TrialData], tmp_path: Path) -> None:
    runs, trial, data = finished
    arguments = (REGISTRY, BP4D, data)
    assert run_trials([trial], *arguments, runs, RunOptions(CPU))[0].state == OutcomeState.DONE
    elsewhere = TrialFolder(trial.folder(tmp_path))
    elsewhere.path.mkdir(parents=True)
    with FileLock(elsewhere.lock):
        assert run_trials([trial], *arguments, tmp_path, RunOptions(CPU))[0].state == OutcomeState.RUNNING
    assert not elsewhere.is_done


def test_divergence_is_a_plain_error_and_never_a_result(root: Path, tmp_path: Path) -> None:
    profile, _ = load_profile("smoke", [*SETTINGS, "method.lr=1e30", "method.optimizer=sgd"])
    data = load(root)[2]
    trial = expanded(BP4D, profile, (), REGISTRY, ("a", "b"), methods=("stl",), parts=("part1",))[0]
    (outcome,) = run_trials([trial], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert outcome.state == OutcomeState.FAILED
    assert "diverged" in str(outcome.why)
    folder = TrialFolder(trial.folder(tmp_path))
    assert not folder.is_done
    assert state_of(folder, {}) == State.FAILED
    text = (folder.path / "ERROR.txt").read_text()
    assert text.startswith("training diverged")
    assert "Traceback" in text


@pytest.mark.parametrize("value", [float("nan"), 1e9])
def test_divergence_names_the_step_and_its_images(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    """The step is the first, between two looks at the numbers; its images are those of that batch."""
    trial, data = trial_of(root, "stl")
    seen = []

    def update(self: Method, batch: Batch, step: int) -> Scalars:
        seen.append(batch[Stream.AU].labels.clone())
        return {"loss_au": torch.tensor(value if step >= 7 else 1.0)}

    monkeypatch.setattr(REGISTRY["stl"], "update", update)
    (outcome,) = run_trials([trial], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert outcome.why is not None
    assert outcome.why.where == f"{trial.label}, step 7"
    assert outcome.why.found is not None
    named = outcome.why.found.partition("au: ")[2].split()
    table = data.au.faces.table.reset_index(drop=True)
    rows = [table.index[table["path"] == name][0] for name in named]
    assert len(rows) == trial.train.batch_au
    assert torch.equal(torch.from_numpy(data.au.faces.labels[rows]), seen[7])


@pytest.mark.parametrize("stopped", [False, True])
def test_no_checkpoint_holds_what_has_diverged(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """A row is logged after steps 0 and 20 alone; the value is wrong at step 7."""
    trial, data = trial_of(root, "stl")
    folder, steps = TrialFolder(trial.folder(tmp_path)), []

    def update(self: Method, batch: Batch, step: int) -> Scalars:
        steps.append(step)
        return {"loss_au": torch.tensor(float("nan") if step >= 7 else 1.0)}

    monkeypatch.setattr(REGISTRY["stl"], "update", update)
    options = RunOptions(CPU, checkpoint_s=1e9 if stopped else 0.0, stop=lambda: stopped and len(steps) == 9)
    (outcome,) = run_trials([trial], REGISTRY, BP4D, data, tmp_path, options)
    assert outcome.why is not None
    assert outcome.why.where == f"{trial.label}, step 7"
    assert folder.steps_done() == (None if stopped else 7)
    assert len(steps) == (9 if stopped else 8)


def test_what_is_asked_to_stop_after_learning_has_only_to_score(root: Path, tmp_path: Path) -> None:
    trial, data = trial_of(root, "mal")
    steps: list[int] = []

    def run(runs: str, looks: float) -> TrialFolder:
        """Run it, and ask it to stop at so many looks after the last step's."""

        def stop() -> bool:
            nonlocal looks
            looks -= len(steps) == trial.train.steps
            return looks < 0

        options = RunOptions(CPU, checkpoint_s=1e9, on_step=lambda label, step, of: steps.append(step), stop=stop)
        run_trials([trial], REGISTRY, BP4D, data, tmp_path / runs, options)
        return TrialFolder(trial.folder(tmp_path / runs))

    whole = run("whole", math.inf)
    # 24 test images are scored in one batch, 12 AU validation images in one, the test images twice more under other
    # statistics of batch norm, and 14 images weighed in one batch.
    for runs, looks, said in (
        ("learnt", 0, "24 of 24 steps"),
        ("scores", 1, "0 of 24 im"),
        ("validates", 2, "0 of 12 im"),
        ("normalises", 4, "0 of 24 im"),
        ("weighs", 5, "0 of 14 im"),
    ):
        steps.clear()
        with pytest.raises(Interrupted, match=said):
            run(runs, looks)
        folder = TrialFolder(trial.folder(tmp_path / runs))
        assert not folder.is_done
        assert folder.steps_done() == len(steps) == 24
        assert run(runs, math.inf).is_done
        assert len(steps) == 24  # no step was made again
        for table in sorted(whole.path.glob("*.parquet")):
            assert (folder.path / table.name).read_bytes() == table.read_bytes()


def test_rows_do_not_depend_on_checkpoints(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial, data = trial_of(root, "stl")
    monkeypatch.setattr(REGISTRY["stl"], "update", lambda self, batch, step: {"loss_au": torch.tensor(float(step))})
    for name, seconds in (("all", 0.0), ("none", 1e9)):
        run_trials([trial], REGISTRY, BP4D, data, tmp_path / name, RunOptions(CPU, checkpoint_s=seconds))
        history = pd.read_parquet(trial.folder(tmp_path / name) / "history.parquet")
        assert history.to_dict("list") == {"step": [0, 20, 23], "loss_au": [0.0, 20.0, 23.0]}


def test_a_control_runs_on_the_stand_in_alone(root: Path, tmp_path: Path) -> None:
    trial, data = trial_of(root, "mtl_oracle")
    (outcome,) = run_trials([trial], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert outcome.state == OutcomeState.FAILED
    assert "a control, which runs on the stand-in alone" in str(outcome.why)


def test_trials_that_start_from_a_failed_one_are_not_run_and_the_others_are(root: Path, tmp_path: Path) -> None:
    profile, _ = load_profile("smoke", [*SETTINGS, "methods.fe_source.lr=1e30", "methods.fe_source.optimizer=sgd"])
    data = load(root)[2]
    trials = expanded(BP4D, profile, (), REGISTRY, ("a", "b"), methods=("l2t_ww", "stl"), parts=("part1",))
    for _ in range(2):  # nothing of a failure is kept
        found = {o.trial.method: o.state for o in run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))}
        assert (found["fe_source"], found["l2t_ww"]) == (OutcomeState.FAILED, OutcomeState.BLOCKED)
    assert found["stl"] == OutcomeState.DONE


def test_a_full_disk_ends_the_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: TrialFolder, name: str, table: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    profile, _ = load_profile("smoke", SETTINGS)
    data = load(root)[2]
    trials = expanded(BP4D, profile, (), REGISTRY, ("a", "b"), methods=("stl", "mtl"), parts=("part1",))
    with monkeypatch.context() as patch:
        patch.setattr(TrialFolder, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
        # MTL is the first, since its steps read more images.
        assert [state_of(TrialFolder(t.folder(tmp_path)), {}) for t in trials] == [State.TO_DO, State.FAILED]
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in outcomes] == [OutcomeState.RAN, OutcomeState.RAN]  # both were run now
    assert all(o.is_done for o in (TrialFolder(t.folder(tmp_path)) for t in trials))


@pytest.mark.parametrize("part", BP4D.parts)
def test_validation_frames_are_in_neither_train_nor_test_batches(
    root: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Watches which frames a whole MAL trial really touches, stream by stream."""
    trial, data = trial_of(root, "mal", part)
    touched: dict[Stream, set[int]] = {s: set() for s in Stream}
    original = Streams._crops_of

    def spy(self: Streams, stream: Stream, step: int):
        touched[stream] |= set(self._orders[stream].indices(step).tolist())
        return original(self, stream, step)

    monkeypatch.setattr(Streams, "_crops_of", spy)
    folder = TrialFolder(trial.folder(root / f"spied-{part}"))
    folder.path.mkdir(parents=True)
    train_trial(trial, REGISTRY["mal"], BP4D, data, folder, RunOptions(CPU))
    fold = make_fold(data.au.faces, BP4D, part, trial.seed, fraction=0.02, minimum=16)
    assert touched[Stream.AU] == set(fold.train.tolist())
    assert touched[Stream.AU_VAL] <= set(fold.val.tolist())
    assert not touched[Stream.AU] & touched[Stream.AU_VAL]
    tested = set(pd.read_parquet(folder.path / "predictions.parquet")["subject"])
    learned = data.au.faces.table.iloc[sorted(touched[Stream.AU] | touched[Stream.AU_VAL])]["subject"]
    assert not tested & set(learned)


def test_methods_at_one_seed_see_the_same_au_batches(root: Path) -> None:
    profile, changed, data = load(root)
    trials = expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), parts=("part1",))
    orders = []
    for trial in trials:
        fold = make_fold(data.au.faces, BP4D, "part1", trial.seed, fraction=0.02, minimum=16)
        streams = Streams(trial, data, fold, None)  # type: ignore[arg-type]
        orders.append([streams._orders[Stream.AU].indices(t).tolist() for t in range(5)])
    assert all(order == orders[0] for order in orders)
    assert len(EMOTIONS) == 7


def test_a_batch_does_not_depend_on_where_training_began(root: Path) -> None:
    profile, changed, data = load(root)
    (trial,) = expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=("mal",), parts=("part1",))
    fold = make_fold(data.au.faces, BP4D, "part1", trial.seed, fraction=0.02, minimum=16)
    streams = Streams(trial, data, fold, ImageInput(32, "per_image", CPU))
    whole = list(streams.batches(frozenset(Stream), 0, 6))
    resumed = list(streams.batches(frozenset(Stream), 4, 6))
    assert [len(whole), len(resumed)] == [6, 2]
    for batch, again in zip(whole[4:], resumed, strict=True):
        for stream in Stream:
            assert torch.equal(batch[stream].images, again[stream].images)
            assert torch.equal(batch[stream].labels, again[stream].labels)
    assert not torch.equal(whole[4][Stream.AU].images, whole[5][Stream.AU].images)


def test_what_fails_while_a_batch_is_made_ahead_is_raised(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, changed, data = load(root)
    (trial,) = expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=("stl",), parts=("part1",))
    fold = make_fold(data.au.faces, BP4D, "part1", trial.seed, fraction=0.02, minimum=16)
    streams = Streams(trial, data, fold, ImageInput(32, "per_image", CPU))
    original = Streams._crops_of

    def lost(self: Streams, stream: Stream, step: int):
        if step == 2:
            raise OSError("the disk is gone")
        return original(self, stream, step)

    monkeypatch.setattr(Streams, "_crops_of", lost)
    batches = streams.batches(frozenset({Stream.AU}), 0, 4)
    assert next(batches)[Stream.AU].images.shape == next(batches)[Stream.AU].images.shape
    with pytest.raises(OSError, match="disk is gone"):
        next(batches)
