"""Looks at a trial in training: they change nothing, survive a stop, and hold what the audit is made of."""

# ruff: noqa: F401, F811

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.config.settings import TrainSettings
from benchmark.config.trial import Trial
from benchmark.core.errors import Interrupted
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.folder import AU_VAL, AUDIT, SNAPSHOTS, TrialFolder
from benchmark.trials.collect import read_store
from benchmark.trials.expand import shared_overrides
from benchmark.trials.normalisation import BATCHES, predictions_by_statistics
from benchmark.trials.runner import run_trials
from benchmark.trials.setup import set_up
from benchmark.trials.snapshots import audit_of, compact, looking, moments
from benchmark.trials.states import source_hashes
from benchmark.trials.trainer import RunOptions, seeded
from benchmark.trials.verify import Agreement, verify_scores
from methods.base import Stream
from tests.grids import expanded
from tests.trials.test_trainer import CPU, REGISTRY, root, trial_of  # a fixture

AUS = list(BP4D.au_names)


def with_snapshots(trial: Trial, number: int) -> Trial:
    return trial.model_copy(update={"train": trial.train.model_copy(update={"snapshots": number})})


def run(trial: Trial, data: TrialData, runs: Path, **options: object) -> TrialFolder:
    run_trials([trial], REGISTRY, BP4D, data, runs, replace(RunOptions(CPU), **options))  # type: ignore[arg-type]
    return TrialFolder(trial.folder(runs))


@pytest.fixture(scope="module")
def looked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialFolder, Trial, TrialData]:
    trial, data = trial_of(root, "mal")
    trial = with_snapshots(trial, 3)
    return run(trial, data, tmp_path_factory.mktemp("looked")), trial, data


def test_looks_change_no_result(looked: tuple[TrialFolder, Trial, TrialData], tmp_path: Path) -> None:
    folder, trial, data = looked
    plain = run(with_snapshots(trial, 0), data, tmp_path)
    names = {file.name for file in plain.path.glob("*.*t*")} - {"trial.json", "provenance.json", ".lock"}
    assert names == {file.name for file in folder.path.glob("*.*t*")} - {
        *("trial.json", "provenance.json", ".lock"),
        *(SNAPSHOTS, AU_VAL, AUDIT),
    }
    for name in names:
        assert (plain.path / name).read_bytes() == (folder.path / name).read_bytes(), name


def test_a_look_restores_modes_and_generators(root: Path) -> None:
    trial, data = trial_of(root, "l2t_ww")
    spec = set_up(trial, REGISTRY["stl"], BP4D, data, CPU).spec
    method = REGISTRY["stl"].build(REGISTRY["stl"].HParams(backbone="test_resnet"), spec, CPU).train()
    method.net.backbone.eval()  # a part that stays in evaluation mode
    modes = [module.training for module in method.modules()]
    assert len(set(modes)) == 2
    before = torch.random.get_rng_state()
    with looking(method, CPU):
        method.eval()
        torch.rand(3)
    assert [module.training for module in method.modules()] == modes
    assert torch.equal(torch.random.get_rng_state(), before)


def test_stopped_in_a_look_it_ends_bit_identical(looked: tuple[TrialFolder, Trial, TrialData], tmp_path: Path) -> None:
    whole, trial, data = looked
    asked = 0
    steps: list[int] = []

    def stop() -> bool:
        """Asked after each step, and before a batch of AU validation and one of test frames: then in the first look."""
        nonlocal asked
        asked += len(steps) == 8
        return asked == 3

    with pytest.raises(Interrupted, match="after step 8, 0 of 24 images scored"):
        run(trial, data, tmp_path, stop=stop, on_step=lambda label, step, of: steps.append(step))
    folder = TrialFolder(trial.folder(tmp_path))
    assert folder.steps_done() == 8
    assert run(trial, data, tmp_path).is_done
    for file in whole.path.glob("*.parquet"):
        assert (folder.path / file.name).read_bytes() == file.read_bytes(), file.name


def test_the_stored_logits_give_the_counts_of_the_trial(looked: tuple[TrialFolder, Trial, TrialData]) -> None:
    folder, _, _ = looked
    snapshots = pd.read_parquet(folder.path / SNAPSHOTS)
    assert sorted(snapshots["step"].unique()) == [8, 16, 24]
    assert set(snapshots) == {"step", "kind", *(f"logit_{au}" for au in AUS)}  # no name and no label of a frame
    assert {str(kind) for kind in snapshots.dtypes[:-2]} == {"float16"}
    last = snapshots[(snapshots["kind"] == "test") & (snapshots["step"] == 24)]
    predictions = pd.read_parquet(folder.path / "predictions.parquet")
    columns = [f"logit_{au}" for au in AUS]
    ours, theirs = last[columns].to_numpy(np.float32), predictions[columns].to_numpy(np.float32)
    assert np.array_equal(ours > 0, theirs > 0)  # so no F1 is lost at .5
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-6)
    kinds = snapshots[snapshots["step"] == 24]["kind"].unique()
    assert set(kinds) == {"au_val", "test", "norm_both", "norm_au"}
    assert len(pd.read_parquet(folder.path / AU_VAL)) == (snapshots["kind"] == "au_val").sum() / 3


def test_the_audit_is_made_of_the_stored_files_and_verified(
    looked: tuple[TrialFolder, Trial, TrialData], tmp_path: Path
) -> None:
    folder, trial, data = looked
    stored = [pd.read_parquet(folder.path / name) for name in (SNAPSHOTS, AU_VAL, "predictions.parquet", AUDIT)]
    pd.testing.assert_frame_equal(audit_of(*stored[:3]), stored[3], check_dtype=False)
    assert {"moment_val", "moment_test", "norm_au"} <= set(stored[3]["rule"])
    assert verify_scores(folder, {})[0] == Agreement.EXACT
    results = read_store(folder.path.parents[2], source_hashes(REGISTRY)).validated()
    assert len(results.audit) == len(stored[3])
    folder = run(trial, data, tmp_path)
    folder.write_table(AUDIT, stored[3].assign(tp=0))
    assert verify_scores(folder, {})[0] == Agreement.DIFFERS


def test_logits_that_half_precision_would_turn_are_stored_whole() -> None:
    for values in ([[1e-9, 1.0]], [[70000.0, -1.0]]):
        assert compact(np.array(values, dtype=np.float32)).dtype == torch.float32
    assert compact(np.array([[-1e-9, 1.5]], dtype=np.float32)).dtype == torch.float16  # −0 is not active either


def test_moments_are_even_and_end_with_the_training() -> None:
    assert moments(30, 10) == tuple(range(3, 31, 3))
    assert moments(3, 10) == (1, 2, 3)
    assert moments(24, 1) == (24,)


def test_statistics_anew_are_means_over_batches_and_leave_the_method(root: Path) -> None:
    trial, data = trial_of(root, "mtl")
    setup = set_up(trial, REGISTRY["mtl"], BP4D, data, CPU)
    with seeded(0, CPU):
        method = REGISTRY["mtl"].build(REGISTRY["mtl"].HParams(backbone="test_resnet"), setup.spec, CPU)
    assert setup.fold is not None
    before = {name: value.clone() for name, value in method.state_dict().items()}
    norm = next(module for module in method.modules() if isinstance(module, torch.nn.BatchNorm2d))
    passes: list[tuple[torch.Tensor, torch.Tensor]] = []
    handle = norm.register_forward_hook(lambda _, inputs, output: passes.append((inputs[0].clone(), output.clone())))
    made = predictions_by_statistics(
        trial, method, setup.streams, setup.images, data.au, setup.fold.test, lambda: False
    )
    handle.remove()
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    # Of each of the two: so many training batches, then the test frames in one.
    for half, rows in (
        (passes[: BATCHES + 1], trial.train.batch_au + trial.train.batch_fe),
        (passes[BATCHES + 1 :], 6),
    ):
        *batches, (given, normalised) = half
        assert [len(x) for x, _ in batches] == [rows] * BATCHES
        mean = torch.stack([x.mean((0, 2, 3)) for x, _ in batches]).mean(0)[:, None, None]
        variance = torch.stack([x.var((0, 2, 3)) for x, _ in batches]).mean(0)[:, None, None]
        by_hand = (given - mean) / (variance + norm.eps).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
        assert torch.allclose(normalised, by_hand, atol=1e-4)
    assert not np.allclose(made["norm_au"], made["norm_both"])


def test_a_method_of_one_stream_has_no_other_statistics(root: Path) -> None:
    trial, data = trial_of(root, "stl")
    setup = set_up(trial, REGISTRY["stl"], BP4D, data, CPU)
    method = REGISTRY["stl"].build(REGISTRY["stl"].HParams(backbone="test_resnet"), setup.spec, CPU)
    assert Stream.FE not in method.streams
    assert not predictions_by_statistics(
        trial, method, setup.streams, setup.images, data.au, setup.fold.test, stop=lambda: False
    )


def test_snapshots_are_part_of_a_key_and_of_no_comparison() -> None:
    assert "snapshots" not in TrainSettings(steps=3).model_dump()
    assert TrainSettings(steps=3, snapshots=2).model_dump()["snapshots"] == 2
    made = []
    for number in (0, 2):
        profile, changed = load_profile("smoke", [f"train.snapshots={number}"])
        made.append(expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=("l2t_ww",), parts=("part1",)))
    (stage, without), (same_stage, looked_at) = made
    assert stage.key == same_stage.key  # a stage has no test frame to look at
    assert without.key != looked_at.key
    assert (without.shared_digest, without.own_digest) == (looked_at.shared_digest, looked_at.own_digest)
    assert shared_overrides(["train.snapshots=2", "train.steps=3"]) == "train.steps=3"
