"""Random splits of the people of a dataset, and their place in the key of a trial."""

from __future__ import annotations

import pytest

from benchmark.config.profile import load_profile
from benchmark.config.protocol import ALL
from benchmark.core.errors import UserError
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.folds import resplit
from benchmark.datasets.gft.protocol import GFT
from methods import discover
from tests.grids import expanded


def test_every_person_is_tested_once() -> None:
    for protocol in (BP4D, GFT):
        parts = resplit(protocol, 3).parts
        assert list(parts) == ["part1", "part2", "part3"]
        tested = [subject for part in parts.values() for subject in part]
        assert sorted(tested) == sorted(protocol.subjects)
        sizes = [len(part) for part in parts.values()]
        assert max(sizes) - min(sizes) <= 1


def test_a_split_is_a_function_of_its_number() -> None:
    drawn = [resplit(BP4D, number).parts for number in range(1, 11)]
    assert drawn == [resplit(BP4D, number).parts for number in range(1, 11)]
    assert len({tuple(parts["part1"]) for parts in drawn}) == 10
    assert resplit(BP4D, 0) is BP4D


def test_people_whom_the_data_lack_leave_no_part_empty() -> None:
    there = {"F001", "F002", "F003", "M001"}
    made = resplit(BP4D, 5, there)
    assert {subject for part in made.parts.values() for subject in part} == there
    assert all(made.parts.values())
    assert made.subjects == BP4D.subjects
    with pytest.raises(UserError, match="fewer subjects than parts"):
        resplit(BP4D, 5, {"F001", "M001"})


def test_the_split_is_in_the_key_unless_it_is_the_protocol() -> None:
    registry = discover()
    usual, changed = load_profile("smoke")
    assert "split" not in usual.data.model_dump()

    def trials(number: int) -> list[tuple[str, str, str]]:
        profile, overrides = load_profile("smoke", [f"data.split={number}"])
        made = expanded(resplit(BP4D, number), profile, overrides, registry, ("a", "b"), methods=("stl", "l2t_ww"))
        return [(trial.method, trial.part, trial.key) for trial in made]

    plain = expanded(BP4D, usual, changed, registry, ("a", "b"), methods=("stl", "l2t_ww"))
    assert trials(0) == [(trial.method, trial.part, trial.key) for trial in plain]
    one, two = trials(1), trials(2)
    assert not {key for _, part, key in one if part != ALL} & {key for _, part, key in two if part != ALL}
    stages = [{(method, key) for method, part, key in made if part == ALL} for made in (trials(0), one, two)]
    assert len(stages[0]) == 1
    assert stages[0] == stages[1] == stages[2]  # a network that tests nobody is trained once
