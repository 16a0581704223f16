"""The probe of readings: no test frame, right numbers, and the rule on measurements made by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.config.profile import load_profile
from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.data.frames import PackedFaces
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.study.readings import (
    Named,
    Range,
    ReadingRow,
    ReadingsResult,
    Setting,
    central,
    extrapolated_linearly,
    extrapolated_wandering,
    read_probe,
    relative_weights,
    weights_of,
)
from benchmark.study.readings_page import MEASURED, render_readings, write_readings
from benchmark.study.readings_probe import (
    ReadingsProbe,
    budget_of,
    look_steps,
    split_training_people,
    train,
    with_val_batch_norm,
)
from benchmark.trials.expand import method_hparams
from benchmark.trials.readings import reading_hparams
from benchmark.trials.setup import set_up
from benchmark.trials.trainer import seeded, take_step
from methods import discover
from methods.losses import au_loss
from methods.mal import MAL
from methods.mtl import MTL
from tests.grids import expanded
from tests.report.conftest import TEMPLATES

REGISTRY = discover()
CPU = torch.device("cpu")
PEOPLE = tuple(f"F{number:03d}" for number in range(1, 16))
PROTOCOL: Protocol = BP4D.model_copy(
    update={"parts": {"part1": PEOPLE[:5], "part2": PEOPLE[5:10], "part3": PEOPLE[10:14]}, "train_only": PEOPLE[14:]}
)
SETTINGS = ("method.backbone=test_resnet", "data.frame_size=34", "data.val_minimum=8", "train.steps=90")


class Watched:
    """Frames that note which rows are read."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames, self.read = frames, set[int]()
        self.shape = frames.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        self.read |= set(np.arange(len(self.frames))[index].ravel().tolist())
        return self.frames[index]


def packed(dataset: str, subjects: list[str], labels: np.ndarray, names: tuple[str, ...], seed: int) -> PackedFaces:
    count = len(subjects)
    table = pd.DataFrame(
        {
            "path": [f"{dataset}/{number:04d}.jpg" for number in range(count)],
            "subject": subjects,
            "sequence": "T1",
            "frame": np.arange(count),
        }
    )
    faces = FaceSet(dataset, Path(), table, labels.astype(np.int8), names, "stand-in", "drawn by a test", title="Test")
    frames = np.random.default_rng(seed).integers(0, 256, (count, 34, 34, 3), dtype=np.uint8)
    return PackedFaces(faces, Watched(frames), f"print {dataset}")  # type: ignore[arg-type]


def data(frames_each: int = 12) -> TrialData:
    rng = np.random.default_rng(7)
    subjects = [name for name in PEOPLE for _ in range(frames_each)]
    au = packed("bp4d", subjects, rng.integers(0, 2, (len(subjects), len(BP4D.aus))), BP4D.au_names, 1)
    fe = packed("rafdb", ["someone"] * 40, rng.integers(0, 7, 40), EMOTIONS, 2)
    return TrialData(au, fe)


def probe(steps: int = 2, faces: TrialData | None = None, end: int = 1000, seed: int = 0) -> ReadingsProbe:
    profile, changed = load_profile("smoke", SETTINGS)
    selection = {"methods": ("mal",), "parts": ("part2",), "seeds": (seed,)}
    (trial,) = expanded(PROTOCOL, profile, changed, REGISTRY, ("a", "b"), **selection)
    split = split_training_people(PROTOCOL, data() if faces is None else faces, "part2", seed)
    return ReadingsProbe(trial, split, CPU, steps, end)


def reading(name: str, **changes: object) -> MAL.HParams:
    made = reading_hparams(load_profile("smoke", SETTINGS)[0], MAL, name)
    assert isinstance(made, MAL.HParams)
    return made.model_copy(update=changes)


def mtl() -> MTL.HParams:
    made = method_hparams(load_profile("smoke", SETTINGS)[0], "mtl", REGISTRY)
    assert isinstance(made, MTL.HParams)
    return made


def row_of(probed: ReadingsProbe, name: str, kind: str = "batch", **changes: object) -> ReadingRow:
    hparams = with_val_batch_norm(reading(name, **changes), kind)
    return probed.train_reading(name, hparams, probed.train_mtl(mtl()))


def test_no_test_frame_is_read_and_held_out_people_teach_nothing() -> None:
    faces = data()
    watched = faces.au.frames
    assert isinstance(watched, Watched)
    subjects = faces.au.faces.table["subject"].to_numpy()
    probed = probe(faces=faces)
    before = row_of(probed, "prose")
    read = {str(subjects[row]) for row in watched.read}
    assert read & set(PROTOCOL.parts["part2"]) == set()
    held = set(probed.split.protocol.parts["held out"])
    assert len(held) == probed.split.held_out == round((15 - 5) / 5)
    assert held <= read <= set(PEOPLE) - set(PROTOCOL.parts["part2"])  # they are looked at
    trained_on = probed.split.data.au.faces.table["subject"].to_numpy()
    assert set(trained_on[np.concatenate([probed.fold.train, probed.fold.val])]) == set(PEOPLE[:5] + PEOPLE[10:]) - held

    # Other images and labels of test people change no number.
    tested = np.isin(subjects, PROTOCOL.parts["part2"])
    other = watched.frames.copy()
    other[tested] = 255 - other[tested]
    labels = faces.au.faces.labels.copy()
    labels[tested] = 1 - labels[tested]
    changed = replace(faces.au, faces=replace(faces.au.faces, labels=labels), frames=Watched(other))
    assert row_of(probe(faces=replace(faces, au=changed)), "prose") == before
    # Those of people who are held out change the cosine alone.
    held_rows = np.isin(subjects, list(held))
    other = watched.frames.copy()
    other[held_rows] = 255 - other[held_rows]
    changed = replace(faces.au, frames=Watched(other))
    again = row_of(probe(faces=replace(faces, au=changed)), "prose")
    assert again.cosine != before.cosine
    assert again == before.model_copy(update={"cosine": again.cosine})


def test_held_out_people_follow_from_the_seed() -> None:
    def held(seed: int) -> tuple[str, ...]:
        return split_training_people(PROTOCOL, data(2), "part2", seed).protocol.parts["held out"]

    assert held(0) == held(0)
    assert len({held(seed) for seed in range(6)}) > 1


def test_the_budget_is_that_of_a_trial() -> None:
    probed = probe()
    faces = data()
    budget = probed.trial.train.model_copy(update={"steps": None, "epochs": 3})
    for trial in (probed.trial, probed.trial.model_copy(update={"train": budget})):
        setup = set_up(trial, MAL, PROTOCOL, faces, CPU)
        assert setup.fold is not None
        assert budget_of(trial, probed.split) == (setup.spec.steps, len(setup.fold.val))


def test_the_first_step_is_half_of_mtls_under_sum_and_half_a_batch_under_mean() -> None:
    """At equal weights: a weighted mean of 2B losses against two sums of B halves (A2, A19)."""
    probed = probe(steps=1)
    size = probed.trial.train.batch_au
    assert row_of(probed, "printed").step_ratio == pytest.approx(0.5, rel=1e-3)
    assert row_of(probed, "prose").step_ratio == pytest.approx(size / 2, rel=1e-3)
    assert row_of(probed, "printed", match_scale=True).step_ratio == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("name", ["prose", "through"])
def test_the_meta_gradient_is_the_way_that_psi_went(name: str) -> None:
    """SGD from ψ = 0: |ψ| after one step is β |∇ψ|; a rate of 10^6 makes rounding small beside it."""
    probed, beta = probe(steps=1), 1e3
    hparams = reading(name, beta=beta)
    with seeded(0, CPU):
        looker = probed.looker(MAL.build(hparams, probed.setup.spec, CPU))
        course = train(probed.trial, looker.method, probed.setup, 1, looker)
    psi = torch.cat([p.detach().flatten() for p in looker.method.meta_net.parameters()])
    assert float(psi.norm()) / beta == pytest.approx(course.meta_norms[0], rel=1e-5)
    assert course.meta_norms[0] > 0


def test_looks_change_nothing() -> None:
    probed = probe(steps=3)
    trained = []
    for looks in (True, False):
        with seeded(0, CPU):
            looker = probed.looker(MAL.build(reading("prose"), probed.setup.spec, CPU))
            train(probed.trial, looker.method, probed.setup, 3, looker if looks else None)
        trained.append(looker.method.state_dict())
    assert all(torch.equal(tensor, trained[1][name]) for name, tensor in trained[0].items())


@pytest.mark.parametrize("kind", ["batch", "running"])
def test_the_cosine_against_plain_backward_passes(kind: str) -> None:
    """In one pass per set of frames; with running statistics also in smaller passes, which then change nothing."""
    probed = probe()
    method = MAL.build(with_val_batch_norm(reading("prose"), kind), probed.setup.spec, CPU)
    method.train()
    looker = replace(probed.looker(method), chunk=1000)
    gradients = []
    for rows in (probed.fold.val, looker.held):
        method.zero_grad()
        method.net.train(kind == "batch")
        images = probed.setup.images.test(probed.split.data.au.frames[rows])
        labels = torch.from_numpy(probed.split.data.au.faces.labels[rows])
        state = {name: buffer.clone() for name, buffer in method.net.named_buffers()}
        au_loss(method.net(images).au_logits, labels, method.class_weights).mean().backward()
        method.net.load_state_dict({**method.net.state_dict(), **state})
        gradients.append(
            np.concatenate([p.grad.double().flatten() for p in method.net.parameters() if p.grad is not None])
        )
    method.train()
    a, b = gradients
    expected = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    assert looker.cosine() == pytest.approx(expected, rel=1e-4)
    if kind == "running":
        assert replace(looker, chunk=5).cosine() == pytest.approx(expected, rel=1e-4)
    assert len(looker.held) == 2 * 12


def test_the_logits_are_those_of_the_weights_that_training_sees() -> None:
    probed = probe()
    method = MAL.build(reading("prose"), probed.setup.spec, CPU)
    for parameter in method.meta_net.parameters():
        parameter.data = 0.1 * torch.randn_like(parameter)
    method.train()
    looker = probed.looker(method)
    au, fe = (
        probed.setup.images.test(frames[rows])
        for frames, rows in zip((probed.split.data.au.frames, probed.split.data.fe.frames), looker.weighed, strict=True)
    )
    raw = method.meta_net(method.net(au, fe).features).detach()
    assert len(raw) == len(probed.fold.train) + 40
    np.testing.assert_allclose(weights_of(looker.weight_logits()), raw.numpy(), rtol=0, atol=1e-6)


def test_extrapolation_against_a_fit_by_numpy() -> None:
    rng = np.random.default_rng(3)
    steps = [10, 20, 30, 40, 50]
    logits = np.outer(steps, rng.normal(0, 0.01, 200)) + rng.normal(0, 0.01, (5, 200))
    slopes, *_ = np.linalg.lstsq(np.array(steps, dtype=float)[:, None], logits, rcond=None)
    ends = extrapolated_linearly(steps, logits, 700)
    np.testing.assert_allclose(ends, 700 * slopes[0], rtol=1e-12)
    # The mean logit and the spread grow at the rate of the slopes.
    assert ends.mean() == pytest.approx(700 * slopes.mean())
    assert ends.std() == pytest.approx(700 * slopes.std())
    np.testing.assert_allclose(extrapolated_wandering(steps, logits, 5000), 10 * logits[-1], rtol=1e-12)
    assert central(np.arange(101.0)) == (5.0, 95.0)
    np.testing.assert_allclose(weights_of(np.array([-800.0, 0.0, math.log(3), 800.0])), [0, 0.5, 0.75, 1])
    np.testing.assert_allclose(relative_weights(np.array([0.0, math.log(3)])), [0.8, 1.2])


def test_the_ranges_of_a_row_against_a_training_by_hand() -> None:
    """The same steps one by one, the weights by the meta net itself, the slopes by numpy's least squares."""
    probed, hparams = probe(steps=3, end=60), reading("printed-adam", beta=0.01)
    row = probed.train_reading("printed-adam", hparams, probed.train_mtl(mtl()))
    logits = []
    with seeded(0, CPU):
        method = MAL.build(hparams, probed.setup.spec, CPU)
        method.train()
        au, fe = (
            probed.setup.images.test(frames[rows])
            for frames, rows in zip(
                (probed.split.data.au.frames, probed.split.data.fe.frames), probed.looker(method).weighed, strict=True
            )
        )
        for step, batch in enumerate(probed.setup.streams.batches(method.streams, 0, 3)):
            take_step(probed.trial, method, batch, step)
            state = {name: tensor.clone() for name, tensor in method.state_dict().items()}
            with torch.no_grad():
                logits.append(torch.logit(method.meta_net(method.net(au, fe).features).double()).numpy())
            method.load_state_dict(state)
    slopes, *_ = np.linalg.lstsq(np.array([[1.0], [2.0], [3.0]]), np.stack(logits), rcond=None)
    weights = 1 / (1 + np.exp(-60 * slopes[0]))
    wandering = 1 / (1 + np.exp(-math.sqrt(20) * logits[-1]))
    expected = {
        "au": weights[: len(au)],
        "fe": weights[len(au) :],
        "relative": weights / weights.mean(),
        "wandering": wandering / wandering.mean(),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(row, name), np.percentile(values, [5, 95]), rtol=0, atol=1e-4)
        assert np.ptp(getattr(row, name)) > 0.01  # and so more than the tolerance


def test_looks_are_evenly_spaced_and_end_at_the_last_step() -> None:
    assert look_steps(100) == list(range(10, 101, 10))
    assert look_steps(3) == [1, 2, 3]
    assert look_steps(1) == [1]


def test_a_training_that_diverges_stops_and_says_when() -> None:
    row = row_of(probe(steps=4), "prose", lr=1e30)
    assert row.steps == 1  # its loss came before the step that ruined the network
    assert math.isnan(row.relative.low)
    assert not math.isnan(row.meta_gradient)


def made_row(name: str, relative: tuple[float, float], **changes: object) -> ReadingRow:
    ends = Range(*relative)
    row = ReadingRow(
        reading=name,
        val_batch_norm="batch",
        seed=0,
        steps=100,
        meta_gradient=0.01,
        au=ends,
        fe=ends,
        relative=ends,
        wandering=Range(0.99, 1.01),
        step_ratio=0.5,
        cosine=0.5,
    )
    return row.model_copy(update=changes)


def result(*rows: ReadingRow) -> ReadingsResult:
    setting = Setting(
        command="malbench readings",
        machine="a machine",
        title="Test",
        origin="stand-in",
        profile="smoke",
        overrides=("train.steps=90",),
        training="a network",
        part="part2",
        seeds=(0, 1),
        steps=100,
        end=1000,
        budget=90,
        batch=(4, 5, 6),
        learning=(8, 8),
        held_out=(2, 2),
        held_frames=(24, 24),
        reserve=(8, 9),
        trial_reserve=(10, 10),
    )
    names = list(dict.fromkeys(row.reading for row in rows))
    named = [Named(name=name, reason="a test", settings="none", val_batch_norm="batch") for name in names]
    return ReadingsResult(setting=setting, readings=tuple(named), rows=rows)


STILL, MOVES = (0.95, 1.05), (0.6, 1.3)


@pytest.mark.parametrize(
    ("rows", "primary"),
    [
        ([made_row("a", MOVES), made_row("b", MOVES)], "a"),
        ([made_row("a", STILL), made_row("b", MOVES), made_row("c", MOVES)], "b"),
        ([made_row("a", STILL), made_row("b", MOVES, steps=7), made_row("c", MOVES)], "c"),
        ([made_row("a", STILL), made_row("b", STILL)], "a"),
        ([made_row("a", (0.95, 1.11)), made_row("b", MOVES)], "a"),  # one end is enough
        # Only a reading's own batch normalisation counts.
        ([made_row("a", STILL), made_row("a", MOVES, val_batch_norm="running"), made_row("b", MOVES)], "b"),
        # The mean of each end over the seeds: .91 and 1.08, then .88 and 1.08.
        ([made_row("a", (0.88, 1.04)), made_row("a", (0.94, 1.12), seed=1), made_row("b", MOVES)], "b"),
        ([made_row("a", (0.82, 1.04)), made_row("a", (0.94, 1.12), seed=1), made_row("b", MOVES)], "a"),
    ],
)
def test_the_primary_reading_is_the_first_that_moves(rows: list[ReadingRow], primary: str) -> None:
    assert result(*rows).primary() == primary


def test_the_page_says_what_is_inert_and_the_file_makes_the_page_again(tmp_path: Path) -> None:
    rows = [
        made_row("a", STILL),
        made_row("a", MOVES, val_batch_norm="running"),
        made_row("b|c", MOVES, wandering=Range(0.7, 1.2)),
        made_row("b|c", MOVES, steps=0, cosine=math.nan, val_batch_norm="running"),
    ]
    page, measured = write_readings(result(*rows), tmp_path / "out", templates=TEMPLATES)
    text = page.read_text(encoding="utf-8")
    assert "- a: with batch statistics it is inert; with running statistics its weights move if ψ keeps its" in text
    assert r"- b\|c: with batch statistics its weights move; with running statistics it diverged in 1 of 1" in text
    assert r"**The primary reading is b\|c**" in text
    assert "n/a [n/a, n/a]" in text
    assert "seeds 0, 1.\n\nOf 10 training people a fifth, 2, is held out" in text
    assert "a reserve of K = 8 to 9 is kept" in text
    again = read_probe(measured)
    assert render_readings(again, TEMPLATES) == text
    assert write_readings(again, tmp_path / "again", templates=TEMPLATES)[1].read_bytes() == measured.read_bytes()


def test_measurements_that_are_missing_or_damaged_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no measurements of readings") as caught:
        read_probe(tmp_path / MEASURED)
    assert "malbench readings" in str(caught.value.remedy)
    file = tmp_path / MEASURED
    content = json.loads(result(made_row("a", STILL)).model_dump_json())
    for damaged in ("{", json.dumps({**content, "rows": [{"reading": "a"}]}), json.dumps({**content, "more": 1})):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(UserError, match="cannot be read"):
            read_probe(file)
