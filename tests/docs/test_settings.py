"""The settings that pages name are those of the profiles, and of the plan that chose them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmark.config.profile import load_profile
from benchmark.study.plan import Choice, load_plan
from benchmark.trials.expand import method_hparams
from methods import discover
from methods.catalog import names
from tests.docs.pages import flowing, rows_below, text_of

LEARN_NOTHING = {"all_positive", "majority"}
CHOICES = load_plan("tuning").choices
NUMBERS = {2: "two", 3: "three", 5: "five", 6: "six"}


def rows(page: str, heading: str) -> list[list[str]]:
    """Rows below the head of a section's table."""
    return rows_below(text_of(page), heading)[1:]


def coded(cell: str) -> list[str]:
    """Pieces of code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def rates(profile: str) -> dict[tuple[str, str], float | None]:
    """Every rate of every method and stage that learns."""
    settings, registry = load_profile(profile)[0], discover()
    found = {}
    for method in {*names(), *names("stage")} - LEARN_NOTHING:
        hparams = method_hparams(settings, method, registry)
        for name, field in type(hparams).model_fields.items():
            value: Any = getattr(hparams, name)
            if "earning rate" in (field.description or "") and not isinstance(value, str):
                found[method, name] = value
    return found


@pytest.mark.parametrize(("profile", "column"), [("paper", 2), ("standin", 3)])
def test_the_table_has_the_rates_of_the_profiles(profile: str, column: int) -> None:
    said = {
        (method, rate): None if row[column] == "as `lr`" else float(row[column])
        for row in rows("docs/methods.md", "Learning rates")
        for method in coded(row[0])
        for rate in coded(row[1])
    }
    assert said == rates(profile)


def tried(choice: Choice) -> list[float]:
    """Learning rates of a choice's candidates."""
    key = f"methods.{choice.method}.lr="
    found = set()
    for candidate in choice.candidates:
        (*_, rate) = (change for change in (*choice.set, *candidate) if change.startswith(key))
        found.add(float(rate.removeprefix(key)))
    return sorted(found)


def test_the_rates_tried_are_those_of_the_plan() -> None:
    said = {
        coded(row[0])[0]: [float(rate) for rate in row[1].split(", ")]
        for row in rows("docs/study.md", "How far the search for settings went")
    }
    assert said == {choice.method: tried(choice) for choice in CHOICES}


def test_what_pages_say_of_the_search_is_true() -> None:
    numbers = {choice.method: NUMBERS[len(tried(choice))] for choice in CHOICES}
    assert numbers["mtl"] == numbers["mtan"] == numbers["l2t_ww"]
    said = f"STL had {numbers['stl']}; MTL, MTAN and L2T-WW had {numbers['mtl']} each; MAL had {numbers['mal']}."
    assert said in flowing("docs/limitations.md")
    assert [choice.method for choice in CHOICES if max(tried(choice)) > 0.006] == ["stl"]
    assert all(max(tried(choice)) >= 0.006 for choice in CHOICES)
    assert {(len(choice.candidates), len(choice.seeds), len(choice.parts)) for choice in CHOICES} == {(6, 2, 1)}
    for page in ("README.md", "docs/limitations.md", "docs/study.md"):
        assert re.search(r"0\.006 .*?is the largest rate tried for four", flowing(page)), page
        assert re.search(r"[Tt]wo trainings.{0,8} one test part", flowing(page)), page


def test_the_higher_rate_of_mal_was_tried_with_the_lower_beta_alone() -> None:
    (mal,) = (choice for choice in CHOICES if choice.method == "mal")
    with_it = [candidate for candidate in mal.candidates if "methods.mal.lr=0.006" in candidate]
    assert with_it == [("methods.mal.beta=0.0003", "methods.mal.lr=0.006")]
