"""The gradient probe: the derivatives are right, and looking changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.api.data import load_data
from benchmark.data.known import known_fe
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.study.gradient_probe import (
    AU_SAMPLES,
    probe_answer,
    probe_figure,
    probe_training,
    sample_derivatives,
    summarise,
    write_gradient_probe,
)
from benchmark.trials.expand import Selection, expand
from benchmark.trials.runner import run_trials
from benchmark.trials.trainer import RunOptions
from methods import discover
from methods.base import Stream
from methods.losses import au_loss
from methods.mal import MAL
from tests.methods.planted import make, planted
from tests.report.conftest import TEMPLATES


def test_a_samples_derivative_is_its_gradient_times_that_of_the_validation_loss() -> None:
    """Against one backward pass a sample, and a virtual step of the parameters themselves."""
    method = make("mal", alpha=0.05).double()
    assert isinstance(method, MAL)
    for parameter in method.meta_net.parameters():
        parameter.data = 0.1 * torch.randn_like(parameter)
    batch = {stream: type(s)(s.images[:4].double(), s.labels[:4]) for stream, s in planted(1).items()}
    before = {n: t.clone() for n, t in method.state_dict().items()}
    found = sample_derivatives(method, batch)
    assert all(torch.equal(t, before[n]) for n, t in method.state_dict().items())

    au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
    parameters = dict(method.net.named_parameters())

    def sample_losses() -> tuple[torch.Tensor, torch.Tensor]:
        out = method.net(au.images, fe.images)
        features = out.features.detach()
        raw = method.meta_net(features)
        weights = (raw / raw.sum()).detach()
        fe_losses = torch.nn.functional.cross_entropy(out.fe_logits, fe.labels, reduction="none")
        return torch.cat([au_loss(out.au_logits, au.labels), fe_losses]), weights

    losses, weights = sample_losses()
    grads = [torch.autograd.grad(loss, parameters.values(), retain_graph=True, allow_unused=True) for loss in losses]
    total = {
        name: sum(w * g[i] for w, g in zip(weights, grads, strict=True) if g[i] is not None)
        for i, name in enumerate(parameters)
    }
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.sub_(0.05 * total[name])
    loss = au_loss(method.net(val.images).au_logits, val.labels, method.class_weights.double()).mean()
    v = torch.autograd.grad(loss, parameters.values(), allow_unused=True)
    expected = [
        sum((a * b).sum() for a, b in zip(g, v, strict=True) if a is not None and b is not None).item() for g in grads
    ]
    assert found == pytest.approx(expected, rel=1e-9)


def test_looking_changes_no_bit_and_every_kind_is_seen(tmp_path: Path, shared_cache: Path) -> None:
    settings = ("method.backbone=test_resnet", "train.steps=8", "methods.mal.meta_optimizer=adam")
    loaded = load_data("bp4d", profile="smoke", overrides=[*settings, "data.alignment=as_is"], cache=shared_cache)
    data, profile, changed = loaded.frames, loaded.profile, loaded.overrides
    selection = Selection(methods=("mal",), parts=("part1",), seeds=(3,))
    (trial,) = expand(profile, changed, discover(), loaded.sources, selection)
    options = RunOptions(torch.device("cpu"))
    run_trials([trial], discover(), BP4D, data, tmp_path / "runs", options)
    kinds = known_fe(loaded.root, "rafdb").set_index("path")["kind"].reindex(data.fe.faces.table["path"])
    seen = probe_training(trial, BP4D, data, list(kinds), tmp_path / "probed", options, every=4, window=2)
    plain = trial.folder(tmp_path / "runs") / "model.safetensors"
    assert (tmp_path / "probed/model.safetensors").read_bytes() == plain.read_bytes()
    assert sorted(set(seen["batch"])) == [0, 1, 4, 5]
    assert set(seen["kind"]) == {AU_SAMPLES, "clear", "cue_only", "wrong_label"}
    assert len(seen) == 4 * (trial.train.batch_au + trial.train.batch_fe)
    written = write_gradient_probe(
        seen, tmp_path / "out", command="x", machine="a machine", title="y", window=2, templates=TEMPLATES
    )
    assert [path.name for path in written] == ["gradient_probe.md", "gradient_probe.csv", "gradient_probe.png"]
    page = written[0].read_text()
    assert "| 4 " in page
    assert "one training, y, on a machine." in page
    assert "**Can the meta net tell the kinds apart? cue only: lower than clear in " in page


def test_every_kind_of_image_has_a_curve() -> None:
    kinds = [AU_SAMPLES, "clear", "cue_only", "harmful", "marked", "wrong_label"]
    made = [(step, kind, 0.0, 1.0, 1.0) for step in (0, 4) for kind in kinds]
    figure = probe_figure(pd.DataFrame(made, columns=["step", "kind", "mean", "error", "sd"]), "title")
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert shown == [kind.replace("_", " ") for kind in kinds]


def test_errors_are_those_of_the_means_of_batches() -> None:
    seen = pd.DataFrame(
        {
            "step": 0,
            "batch": [0, 0, 1, 1],
            "kind": "clear",
            "derivative": [1.0, 3.0, 5.0, 7.0],
        }
    )
    (row,) = summarise(seen).to_dict("records")
    assert (row["mean"], row["samples"]) == (4.0, 4)
    assert row["error"] == pytest.approx(np.std([2.0, 6.0], ddof=1) / np.sqrt(2))
    assert row["sd"] == pytest.approx(np.std([1, 3, 5, 7], ddof=1))


def test_the_answer_counts_windows_beyond_two_standard_errors() -> None:
    made = [
        (step, kind, mean, error, 6.0)
        for step, clear, useless in (
            (0, (0.0, 0.3), (-1.1, 0.4)),
            (1, (1.0, 0.3), (3.0, 0.4)),
            (2, (1.0, 1.0), (2.0, 1)),
        )
        for kind, (mean, error) in (("clear", clear), ("cue_only", useless), (AU_SAMPLES, (9.0, 0.1)))
    ]
    summary = pd.DataFrame(made, columns=["step", "kind", "mean", "error", "sd"])
    # Two errors of the difference are 1.0, 1.0 and 2.8; the differences are -1.1, 2.0 and 1.0.
    assert probe_answer(summary) == (
        "cue only: lower than clear in 1 and higher in 1 of 3 windows, by more than two standard errors."
        " Single samples spread 5.5 times as far as the means differ (median)."
    )
    assert probe_answer(summary[summary["kind"] != "clear"]) == ""
    with pytest.raises(ValueError, match="no clear FE image in a window that has cue_only"):
        probe_answer(summary[(summary["kind"] != "clear") | (summary["step"] > 0)])
