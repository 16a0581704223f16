"""Splits by subject, the AU validation reserve, and stateless batch order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.config.protocol import ALL
from benchmark.core.errors import UserError
from benchmark.data.sampling import BatchOrder, Fold, check_fold, make_fold, reserve
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.reader import read_bp4d
from tests.conftest import write_bp4d


def test_the_parts_are_the_published_ones() -> None:
    assert [len(p) for p in BP4D.parts.values()] == [14, 14, 13]
    everyone = {f"F{i:03d}" for i in range(1, 24)} | {f"M{i:03d}" for i in range(1, 19)}
    assert BP4D.subjects == everyone


@pytest.mark.parametrize("part", BP4D.parts)
def test_a_fold_splits_by_subject(data: Path, part: str) -> None:
    faces = read_bp4d(data)
    fold = make_fold(faces, BP4D, part, 0, fraction=0.02, minimum=16)
    subjects = faces.table["subject"].to_numpy()
    assert set(subjects[fold.test]) == set(BP4D.parts[part]) & set(subjects)
    assert not set(subjects[fold.test]) & set(subjects[np.r_[fold.train, fold.val]])
    assert len(fold.train) + len(fold.val) + len(fold.test) == len(faces)
    assert len(fold.val) == 12  # a quarter of 48 training frames is less than 16


def test_a_broken_fold_is_noticed(data: Path) -> None:
    faces = read_bp4d(data)
    good = make_fold(faces, BP4D, "part1", 0, fraction=0.02, minimum=16)
    leak = Fold("part1", np.r_[good.train, good.test[:1]], good.val, good.test[1:])
    with pytest.raises(AssertionError, match="train and test"):
        check_fold(leak, faces)
    twice = Fold("part1", np.r_[good.train, good.val[:1]], good.val, good.test)
    with pytest.raises(AssertionError, match="partition"):
        check_fold(twice, faces)


def test_a_part_without_subjects_is_a_plain_error(tmp_path: Path) -> None:
    write_bp4d(tmp_path, subjects=("F001", "M001"), tasks=1)
    faces = read_bp4d(tmp_path)
    with pytest.raises(UserError, match="no training subject"):
        make_fold(faces, BP4D, "part1", 0, fraction=0.02, minimum=16)
    with pytest.raises(UserError, match="no test subject"):
        make_fold(faces, BP4D, "part2", 0, fraction=0.02, minimum=16)


def test_two_percent_of_each_subject_on_a_large_set() -> None:
    sizes = {"a": 1000, "b": 2000, "c": 140, "d": 9}
    subjects = np.repeat(list(sizes), list(sizes.values())).astype(object)
    val = reserve(subjects, np.arange(len(subjects)), 0, fraction=0.02, minimum=16)
    found = {name: int((subjects[val] == name).sum()) for name in sizes}
    assert found == {"a": 20, "b": 40, "c": 3, "d": 0}  # round(2.8) = 3; d has fewer than ten frames


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    seed=st.integers(0, 2**31),
    minimum=st.integers(1, 40),
)
def test_the_reserve_on_small_data(sizes: list[int], seed: int, minimum: int) -> None:
    subjects = np.repeat([f"s{i}" for i in range(len(sizes))], sizes).astype(object)
    rest = np.arange(len(subjects))
    val = reserve(subjects, rest, seed, fraction=0.02, minimum=minimum)
    assert len(np.unique(val)) == len(val)
    each = np.array([(subjects[val] == f"s{i}").sum() for i in range(len(sizes))])
    assert (each <= np.maximum(np.array(sizes) - 1, 0)).all()  # everyone keeps a frame to train on
    target = min(minimum, len(rest) // 4)
    assert len(val) >= min(target, int(np.maximum(np.array(sizes) - 1, 0).sum()))
    assert np.array_equal(val, reserve(subjects, rest, seed, fraction=0.02, minimum=minimum))


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 50), batch=st.integers(1, 70), seed=st.integers(0, 100))
def test_every_sample_is_seen_once_before_any_is_seen_twice(size: int, batch: int, seed: int) -> None:
    order = BatchOrder(np.arange(size) + 5, batch, seed, "au")
    steps = -(-2 * size // batch)
    seen = np.concatenate([order.indices(t) for t in range(steps)])
    assert sorted(seen[:size]) == list(range(5, size + 5))
    assert sorted(seen[size : 2 * size]) == list(range(5, size + 5))


def test_batches_are_a_function_of_seed_stream_and_step() -> None:
    pool = np.arange(100)
    late = BatchOrder(pool, 8, 3, "au").indices(57)  # asked first, by an order that saw nothing before
    walked = BatchOrder(pool, 8, 3, "au")
    assert np.array_equal([walked.indices(t) for t in range(58)][-1], late)
    assert not np.array_equal(BatchOrder(pool, 8, 4, "au").indices(57), late)
    assert not np.array_equal(BatchOrder(pool, 8, 3, "fe").indices(57), late)
    assert walked.augmentation(5).random() == BatchOrder(pool, 8, 3, "au").augmentation(5).random()


def test_drawing_with_replacement() -> None:
    order = BatchOrder(np.arange(10), 64, 0, "au_val", replace=True)
    assert len(order.indices(0)) == 64
    assert np.array_equal(order.indices(3), order.indices(3))
    assert not np.array_equal(order.indices(3), order.indices(4))


def test_everyone_trains_and_no_one_is_tested(data: Path) -> None:
    faces = read_bp4d(data, BP4D)
    fold = make_fold(faces, BP4D, ALL, 0, fraction=0.02, minimum=4)
    assert len(fold.test) == 0
    assert len(fold.train) + len(fold.val) == len(faces)
