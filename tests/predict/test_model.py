"""The network of a trial is the one that was scored, and is chosen by name alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data.frames import pack
from benchmark.predict.choose import choose_trial
from benchmark.predict.model import STANDIN_WARNING, Model, load_model
from benchmark.store.folder import MODEL
from tests.conftest import write_bp4d, write_rafdb
from tests.grids import read_faces
from tests.predict.conftest import CPU, REGISTRY, SETTINGS, folder_of


@pytest.mark.parametrize("method", ["stl", "mal", "l2t_ww"])
def test_a_loaded_model_repeats_the_predictions_of_its_trial(method: str, store: Path, tmp_path: Path) -> None:
    write_bp4d(tmp_path)
    write_rafdb(tmp_path)
    profile, _ = load_profile("smoke", SETTINGS)
    packed = pack(read_faces(tmp_path, profile)[0], profile.data.frame_size, tmp_path / "cache")
    folder = folder_of(store, method)
    stored = pd.read_parquet(folder.path / "predictions.parquet")
    places = ["subject", "sequence", "frame"]
    rows = stored[places].merge(packed.faces.table[places].reset_index(), on=places, how="left")["index"]
    model = load_model(folder, REGISTRY, CPU)
    logits = model.logits(packed.frames[rows.to_numpy()]).numpy()
    np.testing.assert_allclose(logits, stored[[f"logit_{au}" for au in model.aus]].to_numpy(), rtol=1e-4, atol=1e-5)
    probabilities = model.probabilities(packed.frames[rows.to_numpy()])
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits.astype(np.float64))), rtol=1e-5)


def test_nothing_is_downloaded_for_a_trial_that_began_with_weights_of_others(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **options: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("socket.socket.connect", refuse)
    folder = folder_of(store, "stl")
    real = type(folder).load_model
    trial = load_model(folder, REGISTRY, CPU).trial
    changed = trial.model_copy(update={"hparams": {**trial.hparams, "weights": "pretrained"}})
    made = load_model(folder, REGISTRY, CPU).made
    monkeypatch.setattr("benchmark.predict.model.read_trial", lambda _: (changed, made))
    loaded = load_model(folder, REGISTRY, CPU)
    for name, tensor in real(folder).items():
        assert torch.equal(loaded.method.state_dict()[name], tensor)


def test_the_model_says_what_trained_it(model: Model) -> None:
    assert model.training == "a part of BP4D, without the people of part1, who tested it; 2 steps"
    begun = Model(model.trial, {**model.made, "steps": 1}, model.method, model.images)
    assert begun.training.endswith("; 1 step, barely trained: the profile smoke has 3")
    trained = {**model.made, "frames": {"train": 64 * 100}, "steps": 1000}
    paper = model.trial.model_copy(update={"profile": "paper"})
    begun = Model(paper, trained, model.method, model.images)  # 30 epochs of 100 steps
    assert begun.training.endswith("; 1,000 steps, barely trained: the profile paper has 3,000")
    assert model.warning == ""
    drawn = Model(model.trial, {**model.made, "origin": "stand-in"}, model.method, model.images)
    assert drawn.warning == STANDIN_WARNING
    assert drawn.training.startswith("drawn faces in the layout of BP4D")


def test_the_model_says_what_else_it_learned_from(store: Path) -> None:
    assert (
        "who tested it, and expression images of RAF-DB; 2 steps"
        in load_model(folder_of(store, "mal"), REGISTRY, CPU).training
    )
    assert load_model(folder_of(store, "l2t_ww"), REGISTRY, CPU).training.endswith("2 steps, after fe_source on rafdb")


def test_a_changed_network_is_refused(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "bp4d" / "stl"
    shutil.copytree(folder_of(store, "stl").path, copy / folder_of(store, "stl").path.name)
    folder = choose_trial(tmp_path / "runs", "", REGISTRY)
    with (folder.path / MODEL).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(UserError, match="has changed since"):
        load_model(folder, REGISTRY, CPU)


def test_a_trial_is_chosen_by_its_key_and_never_by_its_score(store: Path) -> None:
    wanted = folder_of(store, "mal").path
    key = wanted.name.rpartition("-")[2]
    assert choose_trial(store, key, REGISTRY).path == wanted
    assert choose_trial(store, key[:10], REGISTRY).path == wanted
    with pytest.raises(UserError, match="none is chosen for you") as several:
        choose_trial(store, "", REGISTRY)
    assert key in str(several.value.found)
    first = str(several.value.found).split(" ", 1)[0]
    assert str(several.value.remedy).endswith(f"`malbench predict PHOTOS --runs {store} --trial {first}`")
    assert choose_trial(store, first, REGISTRY).path.name.endswith(first)
    assert "fe_source" not in str(several.value.found)  # it predicts no AU
    with pytest.raises(UserError, match="no finished trial 'zzz'") as unknown:
        choose_trial(store, "zzz", REGISTRY)
    assert key in str(unknown.value.found)


def test_the_only_trial_needs_no_name(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished trial that predicts AUs") as none:
        choose_trial(tmp_path, "", REGISTRY)
    assert "--method stl --part part1 --seed 0" in str(none.value.remedy)
    place = tmp_path / "bp4d" / "stl"
    shutil.copytree(folder_of(store, "stl").path, place / folder_of(store, "stl").path.name)
    assert choose_trial(tmp_path, "", REGISTRY).path.parent == place
