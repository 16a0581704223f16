"""Readings of a profile: their settings, their trials and labels, and mistakes in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.config.names import profile_names
from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.trials.expand import method_hparams
from benchmark.trials.readings import reading_hparams
from methods import discover
from tests.grids import expanded

REGISTRY = discover()
MAL, MTL = REGISTRY["mal"], REGISTRY["mtl"]
NAMES = ["printed", "prose", "printed-adam", "through"]


def trials(*overrides: str, profile: str = "paper", **selection: object) -> list[Trial]:
    settings, changed = load_profile(profile, overrides)
    chosen = {"methods": ("mal",), "parts": ("part1",), "seeds": (0,), **selection}
    return expanded(BP4D, settings, changed, REGISTRY, ("a", "b"), **chosen)  # type: ignore[arg-type]


def written(tmp_path: Path, text: str) -> Profile:
    file = tmp_path / "mine.toml"
    file.write_text(f"[train]\nsteps = 3\n\n[method]\nweights = 'scratch'\n\n{text}\n", encoding="utf-8")
    return load_profile(str(file))[0]


@pytest.mark.parametrize("profile", profile_names())
def test_every_profile_has_the_four_readings_of_mal_and_the_control(profile: str) -> None:
    settings, _ = load_profile(profile)
    assert list(settings.readings["mal"]) == NAMES  # the order is that of preference
    values = {
        name: (made.reading, made.normalise, made.meta_optimizer)  # type: ignore[attr-defined]
        for name in NAMES
        for made in [reading_hparams(settings, MAL, name)]
    }
    assert values == {
        "printed": ("constant", "sum", "sgd"),
        "prose": ("constant", "mean", "sgd"),
        "printed-adam": ("constant", "sum", "adam"),
        "through": ("through", "sum", "sgd"),
    }
    assert reading_hparams(settings, MTL, "half-step").lr == method_hparams(settings, "mtl", discover()).lr / 2


def test_readings_run_only_on_request_and_plain_trials_stay_as_they_are() -> None:
    without, both = trials(), trials(readings=True)
    assert [trial.variant for trial in without] == [""]
    assert both[0] == without[0]
    assert both[0].reading in NAMES
    others = [name for name in NAMES if name != both[0].reading]
    assert [(t.reading, t.variant) for t in both[1:]] == [(name, f"reading {name}") for name in others]
    assert len({trial.key for trial in both}) == len({trial.own_digest for trial in both}) == 4
    assert {trial.shared_digest for trial in both} == {both[0].shared_digest}
    assert [t.label for t in both] == [
        "bp4d mal part1 seed 0",
        *(f"bp4d mal (reading {name}) part1 seed 0" for name in others),
    ]


def test_the_label_is_no_part_of_a_key_or_a_digest() -> None:
    (plain, *_) = trials(readings=True)
    unlabelled = plain.model_copy(update={"reading": ""})
    assert (unlabelled.key, unlabelled.own_digest) == (plain.key, plain.own_digest)
    stored = plain.model_dump(mode="json")
    del stored["reading"]  # a trial of an earlier version
    earlier = Trial.model_validate_json(json.dumps(stored))
    assert (earlier.reading, earlier.key) == ("", plain.key)


def test_plain_trials_of_the_three_profiles_have_the_keys_that_they_had() -> None:
    """Keys from the version before readings; without snapshots and with the rates of then, no setting has changed."""
    expected = {
        ("standin", "mal"): "a6ca3eefaf3d8aac",
        ("standin", "mtl"): "2c53ba2e095af5c4",
        ("smoke", "mal"): "03d4ff38dd65c9b5",
        ("smoke", "mtl"): "9c9be8bef2603e64",
        ("paper", "mtl"): "1712ea6fdb757c7a",
    }
    for (profile, method), key in expected.items():
        then = ("method.lr=0.003", "methods.mal.beta=0.001") if profile == "standin" else ()
        made = trials("method.weights=scratch", "train.snapshots=0", *then, profile=profile, methods=(method,))
        assert made[0].key == key


def test_a_reading_with_the_plain_settings_makes_no_second_trial() -> None:
    for chosen in NAMES:
        made = reading_hparams(load_profile("paper")[0], MAL, chosen)
        same = [f"methods.mal.{key}={getattr(made, key)}" for key in ("reading", "normalise", "meta_optimizer")]
        (plain,) = trials(*same)
        assert plain.reading == chosen


def test_a_users_own_setting_holds_for_all_readings() -> None:
    made = trials("methods.mal.beta=0.5", readings=True)
    assert {trial.hparams["beta"] for trial in made} == {0.5}
    assert len(made) == 4
    assert made[0].variant == "beta=0.5"
    assert made[0].reading in NAMES
    assert {t.variant for t in made[1:]} == {f"reading {t.reading}; beta=0.5" for t in made[1:]}
    # It wins over a reading that says otherwise; readings that then are the same run once.
    made = trials("methods.mal.normalise=mean", "methods.mal.reading=constant", readings=True)
    assert {trial.hparams["normalise"] for trial in made} == {"mean"}
    assert sorted((t.hparams["meta_optimizer"], t.hparams["reading"]) for t in made) == [
        ("adam", "constant"),
        ("sgd", "constant"),
    ]
    assert made[0].reading == "prose"  # and not `printed`, whose `sum` it does not have


def test_a_reading_wins_over_the_settings_of_its_method(tmp_path: Path) -> None:
    profile = written(
        tmp_path,
        "[methods.mal]\nbeta = 0.1\nalpha = 0.3\n"
        "[readings.mal.other]\nreason = 'a test'\nset = { beta = 0.2 }\nfactor = { alpha = 0.5, lr = 2 }",
    )
    made = reading_hparams(profile, MAL, "other")
    assert (made.beta, made.alpha, made.lr) == (0.2, 0.15, 0.002)  # type: ignore[attr-defined]


def test_a_factor_follows_the_setting_that_it_scales() -> None:
    for override, rate in (("method.lr=0.01", 0.005), ("methods.mtl.lr=0.02", 0.01)):
        plain, half = trials(override, methods=("mtl",), readings=True)[:2]
        assert half.hparams["lr"] == rate == plain.hparams["lr"] / 2
        assert {**half.hparams, "lr": 0} == {**plain.hparams, "lr": 0}
        assert half.reading == "half-step"
        assert plain.reading == ""


def test_the_control_of_prose_has_its_step() -> None:
    """A2 mean: every loss of a batch weighs 1/2 at equal weights, in place of 1/B."""
    (control,) = (t for t in trials(methods=("mtl",), readings=True) if t.reading == "prose-step")
    assert control.train.batch_au == control.train.batch_fe == 64
    assert control.hparams["lr"] == 0.001 * 64 / 2


def test_a_changed_reading_is_named_in_its_variant_alone() -> None:
    made = {t.reading: t for t in trials("readings.mal.through.set.beta=0.5", readings=True)}
    assert made["through"].variant == "reading through; beta=0.5"
    assert made["through"].hparams["beta"] == 0.5
    assert {t.shared_overrides for t in made.values()} == {""}
    assert {t.hparams["beta"] for name, t in made.items() if name != "through"} == {0.001}


def test_rows_and_methods_without_readings_have_none() -> None:
    assert [t.reading for t in trials(methods=("stl",), readings=True)] == [""]
    fifty = trials("method.weights=scratch", methods=(), rows=("ResNet-50",), readings=True)
    assert [(t.row, t.reading) for t in fifty] == [("ResNet-50", "")]


@pytest.mark.parametrize(
    ("table", "line", "says"),
    [
        ("[readings.mal.odd]\nreason = 'x'\nset = { betta = 1.0 }", 7, "unknown setting 'readings.mal.odd.set.betta'"),
        ("[readings.mal.odd]\nreason = 'x'\nset = { beta = -1.0 }", 7, "wrong value for the setting 'readings.mal.odd"),
        ("[readings.mal]\nodd = { reason = 'x', set = { betta = 1.0 } }", 8, "'readings.mal.odd.set.betta'"),
        ("[readings.mal.odd]\nreason = 'x'\nfactor = { normalise = 2.0 }", None, "a factor of 'normalise'"),
        ("[readings.mal.odd]\nreason = 'x'\nfactor = { alhpa = 2.0 }", None, "did you mean 'alpha'"),
    ],
)
def test_wrong_settings_of_a_reading_name_the_file_and_the_reading(
    tmp_path: Path, table: str, line: int | None, says: str
) -> None:
    profile = written(tmp_path, table)
    with pytest.raises(UserError) as caught:
        expanded(BP4D, profile, (), REGISTRY, ("a", "b"), methods=("mal",))
    assert says in str(caught.value)
    assert "odd" in str(caught.value)
    assert caught.value.where == (f"{profile.path}:{line}" if line else profile.path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[readings.mal.odd]\nset = { beta = 1.0 }", "readings.mal.odd.reason"),
        ("[readings.mal.odd]\nreason = 'x'", "a reading needs settings"),
        ("[readings.mal.odd]\nreason = 'x'\nsett = { beta = 1.0 }", "did you mean 'set'"),
        (
            "[readings.mal.odd]\nreason = 'x'\nset = { lr = 1.0 }\nfactor = { lr = 2.0 }",
            "lr is in `set` and",
        ),
        ("[readings.mal.odd]\nreason = 'x'\nfactor = { lr = 0.0 }", "greater than 0"),
    ],
)
def test_a_malformed_reading_names_the_file_and_the_reading(tmp_path: Path, table: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        written(tmp_path, table)
    assert says in str(caught.value)
    assert "readings.mal.odd" in str(caught.value)
    assert caught.value.where == f"{tmp_path / 'mine.toml'}:7"


def test_readings_of_an_unknown_method_are_refused(tmp_path: Path) -> None:
    profile = written(tmp_path, "[readings.mall.odd]\nreason = 'x'\nset = { beta = 1.0 }")
    with pytest.raises(UserError, match="unknown method 'mall'") as caught:
        expanded(BP4D, profile, (), REGISTRY, ("a", "b"), methods=("stl",))
    assert "did you mean 'mal'" in str(caught.value)


def test_a_wrong_setting_from_the_command_line_is_told_as_such() -> None:
    with pytest.raises(UserError) as caught:
        trials("readings.mal.prose.set.betta=1")
    assert caught.value.where == "--set readings.mal.prose.set.betta"
