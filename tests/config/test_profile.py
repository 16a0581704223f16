"""Profiles and the keys of trials."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.config.names import profile_names
from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.trials.expand import method_hparams
from benchmark.trials.source_hash import source_hash
from methods import discover
from tests.grids import expanded

REGISTRY = discover()


def trials(
    name: str = "paper", *overrides: str, prints: tuple[str, str] = ("a", "b"), **selection: object
) -> list[Trial]:
    profile, changed = load_profile(name, overrides)
    chosen = {"seeds": (0,), **selection}
    return expanded(BP4D, profile, changed, REGISTRY, prints, **chosen)  # type: ignore[arg-type]


def test_every_profile_expands() -> None:
    assert set(profile_names()) >= {"paper", "standin", "smoke"}
    for name in profile_names():
        methods = [cls for cls in REGISTRY.values() if not cls.is_control]
        assert len(trials(name)) == 3 * len(methods) + 1  # and the source network of L2T-WW, once


def test_every_setting_of_the_paper_profile_cites_its_source() -> None:
    text = (Path(__file__).parents[2] / "benchmark/config/profiles/paper.toml").read_text()
    settings = [row for row in text.splitlines() if "=" in row.split("#")[0]]
    uncited = [r for r in settings if "§" not in r and " A" not in r.split("#")[-1] and "paper" not in r]
    assert [r.split()[0] for r in uncited] == ["amp"]  # the one setting that is about the machine


def test_the_paper_profile_is_the_papers_protocol() -> None:
    trial = next(t for t in trials() if t.method == "mal")
    assert (trial.data.frame_size, trial.data.crop_size) == (256, 224)
    assert (trial.train.epochs, trial.train.batch_au, trial.train.batch_fe, trial.train.batch_val) == (30, 64, 64, 256)
    assert trial.hparams["alpha"] == trial.hparams["beta"] == trial.hparams["lr"] == 0.001
    assert trial.hparams["optimizer"] == trial.hparams["meta_optimizer"] == "sgd"


@pytest.mark.parametrize(
    "override",
    ["train.epochs=31", "train.amp=true", "data.crop_size=200", "method.lr=0.01", "methods.mal.normalise=sum"],
)
def test_a_setting_changes_the_key(override: str) -> None:
    (before,), (after,) = (trials("paper", *o, methods=("mal",), parts=("part1",)) for o in ((), (override,)))
    assert before.key != after.key
    assert override.removeprefix("methods.mal.") in (after.shared_overrides, after.variant)


def test_seed_part_method_data_and_version_change_the_key_and_names_do_not() -> None:
    base = trials(methods=("mal",), parts=("part1",))[0]
    others = [
        *trials(methods=("mal",), parts=("part2",)),
        *trials(methods=("mal",), parts=("part1",), seeds=(7,)),
        *trials(methods=("mtl",), parts=("part1",)),
        *trials(methods=("mal",), parts=("part1",), prints=("a", "c")),
        base.model_copy(update={"method_version": 2}),
        base.model_copy(update={"protocol_version": 99}),
    ]
    assert len({t.key for t in [base, *others]}) == 7
    assert base.model_copy(update={"profile": "renamed"}).key == base.key


def test_an_override_that_changes_nothing_is_no_override() -> None:
    same = trials("paper", "train.epochs=30", "method.lr=0.001", methods=("stl",), parts=("part1",))[0]
    assert same.shared_overrides == ""
    assert same.key == trials(methods=("stl",), parts=("part1",))[0].key
    # Nor where the value is a default that the file does not name: a cell of a map may say it, and a question not.
    defaults = ["standin.renderer=drawn", "standin.fe_harmful=0.0", "data.missing=error"]
    assert load_profile("standin", [*defaults, "data.val_minimum=160"])[1] == ("data.val_minimum=160",)


def test_of_a_key_that_is_named_twice_the_last_value_counts() -> None:
    profile, changed = load_profile("smoke", ["train.steps=6", "train.steps=5"])
    assert (profile.train.steps, changed) == (5, ("train.steps=5",))
    back = load_profile("smoke")[0].train.steps
    assert load_profile("smoke", ["seeds=[1]", "train.steps=6", f"train.steps={back}"])[1] == ("seeds=[1]",)


def test_spaces_around_an_override_say_nothing() -> None:
    profile, changed = load_profile("smoke", [" train.steps = 6 ", "standin.renderer = head"])
    assert changed == ("standin.renderer=head", "train.steps=6")
    assert profile.overridden == ("train.steps", "standin.renderer")


def test_another_methods_override_leaves_a_method_alone() -> None:
    plain, changed = (
        trials("paper", *o, methods=("stl",), parts=("part1",))[0] for o in ((), ("methods.mal.beta=1.0",))
    )
    assert plain == changed


def test_a_users_file_is_never_called_paper(tmp_path: Path) -> None:
    (tmp_path / "paper.toml").write_text("[train]\nsteps = 3\n")
    assert load_profile(str(tmp_path / "paper.toml"))[0].name == "paper.toml"
    assert load_profile("paper")[0].name == "paper"


def test_steps_replace_epochs() -> None:
    assert trials("paper", "train.steps=5")[0].train.epochs is None


@pytest.mark.parametrize(
    ("override", "what", "hint"),
    [
        ("train.batch_aus=3", "unknown setting 'train.batch_aus'", "did you mean 'train.batch_au'"),
        ("trian.steps=3", "unknown setting 'trian'", "did you mean 'train'"),
        ("method.lrr=3", "unknown setting 'method.lrr'", "did you mean 'method.lr'"),
        ("methods.mal.betta=3", "unknown setting 'methods.mal.betta'", "did you mean 'methods.mal.beta'"),
        ("methods.mall.beta=3", "unknown method 'mall'", "did you mean 'mal'"),
        ("method.beta=3", "unknown setting 'method.beta'", "known"),
    ],
)
def test_unknown_settings_are_refused_with_a_suggestion(override: str, what: str, hint: str) -> None:
    with pytest.raises(UserError, match=what) as caught:
        trials("paper", override)
    assert caught.value.remedy is not None
    assert hint in caught.value.remedy


@pytest.mark.parametrize(
    "override",
    ["train.epochs=many", "train.epochs=0", "method.lr=-1", "methods.mal.reading=sideways", "data.crop_size=300"],
)
def test_wrong_values_are_refused(override: str) -> None:
    with pytest.raises(UserError) as caught:
        trials("paper", override)
    assert caught.value.expected


def test_a_profile_of_the_wrong_type_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("seeds = [0]\n[train]\nsteps = 'many'\n")
    with pytest.raises(UserError, match=r"wrong value for the setting 'train\.steps'") as caught:
        load_profile(str(file))
    assert caught.value.where == f"{file}:3"
    assert caught.value.found == "'many'"
    file.write_text("seeds = [0\n[train]\n")
    with pytest.raises(UserError, match="not TOML") as caught:
        load_profile(str(file))
    assert caught.value.where is not None
    with pytest.raises(UserError, match="unknown profile 'papper'") as caught:
        load_profile("papper")
    assert "did you mean 'paper'" in str(caught.value.remedy)


def test_the_source_hash_sees_code_and_not_comments(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    hashes = []
    for text in ("x = 1\n", "# why\nx  =  1\n", '"""Doc."""\nx = 1\n', "x = 2\n"):
        file = tmp_path / str(len(hashes)) / "m.py"
        file.parent.mkdir()
        file.write_text(text)
        hashes.append(source_hash([file]))
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


@pytest.mark.parametrize("order", [1, -1])
def test_an_override_for_all_methods_replaces_what_the_profile_says_of_single_ones(order: int) -> None:
    profile, changed = load_profile("standin", ["method.lr=0.02", "methods.mal.lr=0.03"][::order])
    rates = {name: method_hparams(profile, name, REGISTRY).lr for name in ("stl", "mtl", "mtan", "l2t_ww", "mal")}
    assert rates == {"stl": 0.02, "mtl": 0.02, "mtan": 0.02, "l2t_ww": 0.02, "mal": 0.03}
    assert changed == ("method.lr=0.02", "methods.mal.lr=0.03")


def test_an_override_that_repeats_the_shared_value_is_a_change_where_methods_have_their_own() -> None:
    profile, changed = load_profile("standin", ["method.lr=0.003"])
    assert method_hparams(profile, "mtl", REGISTRY).lr == 0.003
    assert changed == ("method.lr=0.003",)
    assert load_profile("standin", ["method.optimizer=adam"])[1] == ()
