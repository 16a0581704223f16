"""Trials that start from others: run once, shared, part of the key, and never taken from other code."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmark.config.profile import load_profile
from benchmark.config.protocol import ALL
from benchmark.config.settings import SlurmSettings
from benchmark.config.trial import RENDERS, Trial
from benchmark.core.errors import Interrupted, UserError
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.launch.slurm import submit_trials
from benchmark.store.folder import TrialFolder
from benchmark.trials.collect import read_store
from benchmark.trials.expand import AuSource
from benchmark.trials.prepare import pack_faces, read_people
from benchmark.trials.runner import run_trials
from benchmark.trials.states import OutcomeState, State, needed_stages, source_hashes, state_of
from benchmark.trials.trainer import RunOptions, take_step
from methods import discover, source_files
from methods.base import Method
from methods.build import build_net
from tests.chaos.process import CONTEXT
from tests.grids import expanded
from tests.launch.test_slurm import Paper
from tests.trials.test_trainer import CPU, RESULT_FILES, SETTINGS, load, root  # noqa: F401  # a fixture

REGISTRY = discover()


def trials_of(
    root: Path,  # noqa: F811
    *overrides: str,
    parts: tuple[str, ...] = ("part1", "part2"),
    seeds: tuple[int, ...] = (0,),
    methods: tuple[str, ...] = ("l2t_ww",),
) -> tuple[list[Trial], TrialData]:
    profile, changed = load_profile("smoke", [*SETTINGS, "train.steps=4", *overrides])
    data = load(root)[2]
    prints = (data.au.fingerprint, data.fe.fingerprint)
    return expanded(BP4D, profile, changed, REGISTRY, prints, methods=methods, parts=parts, seeds=seeds), data


def test_one_source_a_seed_before_all_that_start_from_it(root: Path) -> None:  # noqa: F811
    trials, _ = trials_of(root, seeds=(0, 1))
    assert [(t.method, t.part, t.seed) for t in trials] == [
        ("fe_source", ALL, 0),
        ("l2t_ww", "part1", 0),
        ("fe_source", ALL, 1),
        ("l2t_ww", "part1", 1),
        ("l2t_ww", "part2", 0),
        ("l2t_ww", "part2", 1),
    ]
    source = trials[0]
    assert source.dataset == "rafdb"
    assert source.fingerprints[0] == ""  # it does not learn from AU data, and other AU datasets share it
    assert all(t.prerequisites["source"].key == trials[2 * t.seed].key for t in trials if t.method == "l2t_ww")


def test_a_setting_of_the_source_changes_what_starts_from_it(root: Path) -> None:  # noqa: F811
    (plain, plain_target), (other, other_target) = (
        trials_of(root, *o, parts=("part1",))[0] for o in ((), ("methods.fe_source.lr=0.5",))
    )
    assert plain.key != other.key
    assert plain_target.key != other_target.key
    assert plain_target.own_digest != other_target.own_digest
    assert plain_target.shared_digest == other_target.shared_digest  # still comparable with other methods
    assert other_target.variant == "fe_source: lr=0.5"
    # Other seeds of one setting are repetitions, though their sources have other keys.
    one, two = (trials_of(root, parts=("part1",), seeds=(seed,))[0][1] for seed in (0, 1))
    assert one.prerequisites["source"].key != two.prerequisites["source"].key
    assert one.own_digest == two.own_digest


def test_a_stage_is_no_method_of_a_table() -> None:
    assert "fe_source" not in list(REGISTRY)
    with pytest.raises(UserError, match="unknown method 'fe_source'"):
        REGISTRY["fe_source"]
    assert {f.stem for f in source_files(REGISTRY["l2t_ww"])} >= {"l2t_ww", "fe_source", "meta_gradient", "losses"}
    assert {f.stem for f in source_files(REGISTRY["stl"])} == {
        *("stl", "base", "backbone", "build", "alexnet", "packaged", "losses")
    }


def test_run_shared_and_told(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root)
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in outcomes] == [OutcomeState.RAN] * 3
    source, target, _ = (TrialFolder(t.folder(tmp_path)) for t in trials)
    names = {p.name for p in source.path.iterdir() if not p.name.startswith(".")}
    assert names == {"trial.json", "provenance.json", "history.parquet", "model.safetensors", "DONE"}
    made = json.loads((target.path / "provenance.json").read_text())
    assert made["prerequisites"]["source"]["key"] == trials[0].key
    results = read_store(tmp_path, source_hashes(REGISTRY))
    assert list(results.trials["method"]) == ["l2t_ww", "l2t_ww"]
    assert (results.trials["time_before_s"] > 0).all()
    # The trained weights are those that the target matched.
    kept, used = (load_file(f.path / "model.safetensors") for f in (source, target))
    assert torch.equal(kept["net.backbone.conv1.0.weight"], used["source.backbone.conv1.0.weight"])
    fresh = build_net("test_resnet", "scratch", n_aus=0, n_emotions=7).state_dict()
    assert not torch.equal(kept["net.backbone.conv1.0.weight"], fresh["backbone.conv1.0.weight"])
    # A trial's own file of weights can start a backbone.
    started = build_net("test_resnet", str(source.path / "model.safetensors"), n_aus=12, n_emotions=0).backbone
    assert all(torch.equal(t, kept[f"net.backbone.{n}"]) for n, t in started.state_dict().items())
    again = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in again] == [OutcomeState.DONE] * 3


def test_a_source_of_other_code_is_trained_again_for_what_is_to_do(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root)
    run_trials(trials[:1], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    folder = TrialFolder(trials[0].folder(tmp_path))
    file = folder.path / "provenance.json"
    made = json.loads(file.read_text())
    folder.write_json("provenance.json", {**made, "source_hash": "0" * 16})
    folder.finish(trials[0].key)
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in outcomes] == [OutcomeState.RAN] * 3
    assert json.loads(file.read_text())["source_hash"] == made["source_hash"]
    said = json.loads((trials[1].folder(tmp_path) / "provenance.json").read_text())["prerequisites"]["source"]
    assert said["source_hash"] == made["source_hash"]
    # With nothing left to do for it, it stays and is called stale, as any other trial.
    folder.write_json("provenance.json", {**made, "source_hash": "0" * 16})
    folder.finish(trials[0].key)
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in outcomes] == [OutcomeState.STALE, OutcomeState.DONE, OutcomeState.DONE]


@pytest.mark.parametrize("changed", [False, True], ids=["same", "another"])
def test_a_checkpoint_is_of_the_very_source_it_began_from(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    changed: bool,
) -> None:
    trials, data = trials_of(root, parts=("part1",))
    source = TrialFolder(trials[0].folder(tmp_path))
    run_trials(trials[:1], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    asked = iter((False, False, True))  # before the trial, and after each step
    with pytest.raises(Interrupted, match="2 of 4 steps"):
        run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, stop=lambda: next(asked)))
    if changed:  # its folder was deleted, and it was trained again
        made = json.loads((source.path / "provenance.json").read_text())
        source.write_json("provenance.json", {**made, "time_train_s": made["time_train_s"] + 1})
        source.finish(trials[0].key)
    steps: list[int] = []

    def counted(trial: Trial, method: Method, batch: Any, step: int) -> Any:
        steps.append(step)
        return take_step(trial, method, batch, step)

    monkeypatch.setattr("benchmark.trials.trainer.take_step", counted)
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert [o.state for o in outcomes] == [OutcomeState.DONE, OutcomeState.RAN]
    assert steps == ([0, 1, 2, 3] if changed else [2, 3])


def test_a_chain_of_stages_is_made_anew_from_its_beginning(tmp_path: Path) -> None:
    """A trial on DISFA starts from one on BP4D, which starts from drawn people; both are of other code."""
    profile, changed = load_profile("smoke", ["method.weights=renders"])
    chosen = {"methods": ("stl",), "parts": ("part1",), "seeds": (0,), "renders": "people"}
    trials = expanded(DISFA, profile, changed, REGISTRY, ("b", "fe"), start=AuSource(BP4D, ("a", "fe")), **chosen)
    people, start, last = trials
    assert (people.method, start.dataset, last.dataset) == ("identity", "bp4d", "disfa")
    for trial in (people, start):
        folder = TrialFolder(trial.folder(tmp_path))
        folder.announce(trial)
        folder.write_json("provenance.json", {"source_hash": "other code"})
        folder.finish(trial.key)
    done = {people.key, start.key}
    assert needed_stages(trials, lambda trial: trial.key in done, lambda _: False) == done
    queue = Paper()
    submissions = submit_trials(trials, REGISTRY, tmp_path, SlurmSettings(), ["run", "disfa"], queue)
    assert [each.fresh for each in submissions] == [True] * 3


def test_a_damaged_source_is_a_plain_error(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root)
    run_trials(trials[:1], REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    (trials[0].folder(tmp_path) / "model.safetensors").write_bytes(b"nonsense")
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU))
    assert outcomes[0].state == OutcomeState.DAMAGED
    assert "model.safetensors has changed" in str(outcomes[0].why)
    lost = [outcome for outcome in outcomes if outcome.trial.prerequisites]
    assert lost
    for outcome in lost:
        assert outcome.state == OutcomeState.BLOCKED
        assert state_of(TrialFolder(outcome.trial.folder(tmp_path)), {}) == State.TO_DO


def test_asked_to_stop_it_stops_with_a_checkpoint(root: Path, tmp_path: Path) -> None:  # noqa: F811
    trials, data = trials_of(root, methods=("stl",), parts=("part1",))
    asked = iter((False, False, True))  # before the trial, and after each step
    with pytest.raises(Interrupted, match="2 of 4 steps"):
        run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU, stop=lambda: next(asked)))
    folder = TrialFolder(trials[0].folder(tmp_path))
    assert state_of(folder, {}) == State.INTERRUPTED
    seen: list[State] = []
    run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU), lambda _, state: seen.append(state))
    assert seen == [State.INTERRUPTED]
    assert folder.is_done


def one_method(root: Path, runs: Path, method: str, kill_at: int | None = None) -> None:  # noqa: F811
    torch.set_num_threads(1)
    trials, data = trials_of(root, methods=(method,), parts=("part1",))

    def on_step(label: str, done: int, _: int) -> None:
        if done == kill_at and method in label:
            os.kill(os.getpid(), signal.SIGKILL)

    run_trials(trials, REGISTRY, BP4D, data, runs, RunOptions(CPU, checkpoint_s=0.0, on_step=on_step))


@pytest.mark.parametrize("method", ["l2t_ww", "mtl_best_rho"])
def test_killed_it_ends_bit_identical(root: Path, tmp_path: Path, method: str) -> None:  # noqa: F811
    # MAL has a longer test of the same in test_trainer.py.
    for runs, kill_at, status in (("whole", None, 0), ("killed", 2, -signal.SIGKILL), ("killed", None, 0)):
        process = CONTEXT.Process(target=one_method, args=(root, tmp_path / runs, method, kill_at))
        process.start()
        process.join()
        assert process.exitcode == status
    (whole,), (killed,) = ((tmp_path / runs / "bp4d" / method).iterdir() for runs in ("whole", "killed"))
    for name in RESULT_FILES:
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name


def test_datasets_share_one_source_and_differ_where_they_start() -> None:
    profile, _ = load_profile("smoke")
    known = {"methods": ("l2t_ww",), "seeds": (0,)}
    bp4d = expanded(BP4D, profile, (), REGISTRY, ("a", "fe"), parts=("part1",), **known)
    disfa = expanded(
        DISFA, profile, (), REGISTRY, ("b", "fe"), parts=("part1",), start=AuSource(BP4D, ("a", "fe")), **known
    )
    assert [t.method for t in bp4d] == ["fe_source", "l2t_ww"]
    assert [(t.dataset, t.method, t.part) for t in disfa] == [
        ("rafdb", "fe_source", "all"),
        ("bp4d", "stl", "all"),
        ("disfa", "l2t_ww", "part1"),
    ]
    assert disfa[0].key == bp4d[0].key
    assert set(disfa[2].prerequisites) == {"source", "start"}
    assert disfa[2].prerequisites["start"].key == disfa[1].key
    assert not disfa[1].prerequisites


def test_what_a_row_starts_from_has_its_backbone() -> None:
    profile, _ = load_profile("paper", ["method.weights=scratch"])
    start = AuSource(BP4D, ("a", "fe"))
    chosen = {"methods": (), "rows": ("ResNet-50",), "parts": ("part1",), "seeds": (0,)}
    begun, row = expanded(DISFA, profile, (), REGISTRY, ("b", "fe"), start=start, **chosen)
    assert begun.hparams["backbone"] == row.hparams["backbone"] == "resnet50.tv_in1k"
    assert row.prerequisites["start"].key == begun.key


def test_every_backbone_can_start_from_renders() -> None:
    profile, changed = load_profile("smoke", ["method.weights=renders"])
    known = {"methods": ("stl", "l2t_ww"), "seeds": (0, 1), "parts": ("part1",), "renders": "r"}
    trials = expanded(BP4D, profile, changed, REGISTRY, ("a", "fe"), **known)
    assert [(t.dataset, t.method, t.seed) for t in trials] == [
        ("renders", "identity", 0),
        ("bp4d", "stl", 0),
        ("bp4d", "stl", 1),
        ("rafdb", "fe_source", 0),
        ("bp4d", "l2t_ww", 0),
        ("rafdb", "fe_source", 1),
        ("bp4d", "l2t_ww", 1),
    ]
    # Learned once: as ImageNet's weights are one file, whatever the seed of what starts from them.
    assert {t.prerequisites["start"].key for t in trials[1:]} == {trials[0].key}
    assert trials[0].fingerprints == ("", "r")
    assert (trials[0].hparams["weights"], trials[1].hparams["weights"]) == ("scratch", "renders")
    # DISFA's model on BP4D starts from them, and its methods from that.
    known = {"methods": ("stl",), "seeds": (0,), "parts": ("part1",), "start": AuSource(BP4D, ("a", "fe"))}
    chain = expanded(DISFA, profile, changed, REGISTRY, ("b", "fe"), renders="r", **known)
    assert [t.dataset for t in chain] == ["renders", "bp4d", "disfa"]
    assert [t.prerequisites["start"].key for t in chain[1:]] == [t.key for t in chain[:-1]]


@pytest.mark.parametrize("setting", ["methods.identity.identities=7", "methods.identity.lr=0.5"])
def test_what_renders_are_learned_with_is_part_of_what_starts_from_them(setting: str) -> None:
    known = {"methods": ("stl",), "seeds": (0,), "parts": ("part1",), "renders": "r"}
    found = []
    for more in ((), (setting,)):
        profile, changed = load_profile("smoke", ["method.weights=renders", *more])
        found.append(expanded(BP4D, profile, changed, REGISTRY, ("a", "fe"), **known))
    for plain, other in zip(*found, strict=True):
        assert (plain.key != other.key, plain.own_digest != other.own_digest) == (True, True)
        assert plain.shared_digest == other.shared_digest


def test_a_backbone_starts_where_the_renders_left_it(root: Path, tmp_path: Path) -> None:  # noqa: F811
    # No step of the second trial moves a weight, so its weights are those that it started from.
    own = ["methods.stl.weights=renders", "methods.stl.optimizer=sgd", "methods.stl.lr=1e-30"]
    few = ["methods.identity.identities=6", "methods.identity.views=4"]
    profile, changed = load_profile("smoke", [*SETTINGS, "train.steps=4", *own, *few])
    data = load(root)[2]
    people = read_people(tmp_path, profile, REGISTRY)
    assert people is not None
    faces = pack_faces(people, profile, tmp_path)
    elsewhere = {RENDERS: (BP4D, TrialData(data.au, faces))}
    known = {"methods": ("stl", "mtl"), "seeds": (0,), "parts": ("part1",), "renders": faces.fingerprint}
    trials = expanded(BP4D, profile, changed, REGISTRY, (data.au.fingerprint, data.fe.fingerprint), **known)
    assert [t.method for t in trials] == ["identity", "stl", "mtl"]
    assert not trials[2].prerequisites
    outcomes = run_trials(trials, REGISTRY, BP4D, data, tmp_path, RunOptions(CPU), elsewhere=elsewhere)
    assert [o.state for o in outcomes] == [OutcomeState.RAN] * 3
    left, started, other = (load_file(t.folder(tmp_path) / "model.safetensors") for t in trials)
    assert left["net.head_fe.weight"].shape[0] == 6
    weights = [name for name in started if name.startswith("net.backbone.") and name.endswith("weight")]
    assert all(torch.equal(left[name], started[name]) for name in weights)
    assert not any(torch.equal(left[name], other[name]) for name in weights if left[name].ndim == 4)
    rows = read_store(tmp_path, source_hashes(REGISTRY)).trials.set_index("method")
    assert rows.loc["stl", "weights"] == f"identity trained on renders (trial {trials[0].key})"
    assert rows.loc["mtl", "weights"] == "scratch"
    # Trials that start from other renders are no repetitions of these: the data of a row name them.
    assert rows.loc["stl", "fingerprint"] == f"{rows.loc['mtl', 'fingerprint']}+{faces.fingerprint}"
    start = json.loads(rows.loc["stl", "provenance"])["prerequisites"]["start"]
    assert set(start["learned"]) == {"loss_fe", "accuracy"}
    assert 0 <= start["learned"]["accuracy"] <= 1


def test_no_people_are_drawn_for_other_weights(tmp_path: Path) -> None:
    assert read_people(tmp_path, load_profile("smoke")[0], REGISTRY) is None
    assert not list(tmp_path.iterdir())
