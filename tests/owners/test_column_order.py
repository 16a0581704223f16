"""Order of the columns of imported labels: any two that change places are refused where the rates can tell."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data.column_order import check_order
from benchmark.datasets.base import AuDataset
from benchmark.datasets.disfa.reader import JAA_BAD_FRAMES


@cache
def full(dataset: str) -> tuple[AuDataset, np.ndarray, np.ndarray, np.ndarray]:
    """Labels of all known frames with the known rates of each part, the subject of each row, and its frame."""
    au = datasets.open_au(dataset, load_profile("paper", [])[0])
    known, labels, subjects, frames = au.known(au.protocol), [], [], []
    for part, names in au.protocol.parts.items():
        rates, before = np.array([known.rates[part][name] for name in au.protocol.au_names]) / 100, 0
        for sequence, coded in sorted(known.ranges.items()):
            subject = sequence.partition("/")[0]
            if subject in names:
                count = before + np.arange(coded.frames + 1)[:, None]
                labels.append(np.diff(np.floor(count * rates), axis=0))  # the running sum follows the rate
                subjects += [subject] * coded.frames
                frames += range(coded.first, coded.last + 1)
                before += coded.frames
    return au, np.concatenate(labels).astype(np.int8), np.array(subjects), np.array(frames)


def passes(au: AuDataset, labels: np.ndarray, subjects: np.ndarray) -> bool:
    try:
        check_order(labels, subjects, au.protocol, au.known(au.protocol), Path("labels.txt"))
    except UserError:
        return False
    return True


def undetected(au: AuDataset, labels: np.ndarray, subjects: np.ndarray) -> list[str]:
    """Pairs of AUs whose columns can change places without being refused."""
    names, pairs = au.protocol.au_names, []
    for i, j in combinations(range(len(names)), 2):
        swapped = labels.copy()
        swapped[:, [i, j]] = labels[:, [j, i]]
        if passes(au, swapped, subjects):
            pairs.append(f"{names[i]} and {names[j]}")
    return pairs


@pytest.mark.parametrize("dataset", ["bp4d", "disfa"])
def test_lists_of_all_parts_leave_no_two_columns_open(dataset: str) -> None:
    au, labels, subjects, _ = full(dataset)
    assert check_order(labels, subjects, au.protocol, au.known(au.protocol), Path("labels.txt")) == ()
    assert undetected(au, labels, subjects) == []


def test_lists_without_the_frames_that_jaa_net_dropped_leave_none_open_either() -> None:
    au, labels, subjects, frames = full("disfa")
    clean = np.array(
        [
            not any(first <= f - 1 <= last for first, last in JAA_BAD_FRAMES.get(s, ()))
            for s, f in zip(subjects, frames, strict=True)
        ]
    )
    assert clean.sum() == 126_144
    assert undetected(au, labels[clean], subjects[clean]) == []


@pytest.mark.parametrize(("dataset", "alike"), [("bp4d", ["AU1 and AU15", "AU4 and AU15"]), ("disfa", ["AU1 and AU9"])])
def test_a_list_of_one_part_says_which_columns_it_cannot_tell(dataset: str, alike: list[str]) -> None:
    """In part 2 these AUs are as frequent as one another."""
    au, labels, subjects, _ = full(dataset)
    inside = np.isin(subjects, au.protocol.parts["part2"])
    said = check_order(labels[inside], subjects[inside], au.protocol, au.known(au.protocol), Path("labels.txt"))
    assert list(said) == alike == undetected(au, labels[inside], subjects[inside])


def test_the_order_that_fits_is_named() -> None:
    au, labels, subjects, _ = full("disfa")
    by_rate = [6, 2, 5, 7, 3, 0, 1, 4]
    with pytest.raises(UserError, match="they are AU25, AU4, AU12, AU26, AU6, AU1, AU2, AU9"):
        check_order(labels[:, by_rate], subjects, au.protocol, au.known(au.protocol), Path("labels.txt"))


def test_some_subjects_are_judged_loosely_on_the_rates_of_their_part() -> None:
    """AU1 of BP4D is active in 27.1 % of part 3 and in 21.1 % of all frames."""
    au, labels, subjects, _ = full("bp4d")
    few = np.isin(subjects, au.protocol.parts["part3"][:4])
    assert passes(au, labels[few], subjects[few])
    assert not passes(au, labels[few][:, ::-1], subjects[few])
    assert not passes(au, 1 - labels[few], subjects[few])
