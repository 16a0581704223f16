"""Who runs a trial: one of many, and another only once the first is dead."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmark import owner as module
from benchmark.owner import OWNER, OwnedError, Ownership, Record, duration, is_beating, read_owner

QUICK = {"beat_s": 0.05, "dead_s": 0.6}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch):
    """Makes what follows happen on a machine of the given name."""

    def move(name: str) -> None:
        monkeypatch.setattr(module, "machine", lambda: name)

    move("here")
    return move


def leave(folder: Path, **changes: object) -> Record:
    """The record of an owner that will not beat."""
    record = replace(Record("t", "there", "node7", 42, time.time() - 100, at=time.time()), **changes)  # type: ignore[arg-type]
    (folder / OWNER).write_text(json.dumps(asdict(record)))
    return record


def test_a_record_is_there_inside_and_beats_and_is_gone_after(tmp_path: Path, elsewhere) -> None:
    with Ownership(tmp_path, **QUICK) as owner:
        first = read_owner(tmp_path)
        assert first is not None
        owner.on_step(11, 40)
        owner.on_step(30, 40)
        deadline = time.monotonic() + 20
        while (now := read_owner(tmp_path)) is None or now.done != 30:
            assert time.monotonic() < deadline
        assert (now.token, now.first, now.steps) == (first.token, 10, 40)
        assert "30 of 40 steps" in now.describe()
        assert now.left_s() == pytest.approx((now.at - now.started) * 10 / 20)
    assert list(tmp_path.iterdir()) == []


def test_a_dead_process_of_this_machine_is_replaced_at_once(tmp_path: Path, elsewhere) -> None:
    leave(tmp_path, machine="here")
    began = time.monotonic()
    with Ownership(tmp_path, beat_s=0.05, dead_s=60) as owner:
        assert not owner.lost
    assert time.monotonic() - began < 30


def test_a_silent_owner_elsewhere_is_replaced_after_the_stated_time_and_not_before(tmp_path: Path, elsewhere) -> None:
    leave(tmp_path)
    assert is_beating(tmp_path)
    began = time.monotonic()
    with Ownership(tmp_path, **QUICK):
        assert time.monotonic() - began >= QUICK["dead_s"]
        record = read_owner(tmp_path)
        assert record is not None
        assert record.machine == "here"


def test_a_beating_owner_elsewhere_keeps_the_trial(tmp_path: Path, elsewhere) -> None:
    with Ownership(tmp_path, **QUICK) as first:
        elsewhere("there")
        with pytest.raises(OwnedError, match="process"):
            Ownership(tmp_path, beat_s=0.05, dead_s=60).__enter__()
        assert not first.lost


def test_an_owner_taken_for_dead_stops_and_leaves_the_record_alone(tmp_path: Path, elsewhere) -> None:
    with Ownership(tmp_path, **QUICK) as first:
        leave(tmp_path, token="other")
        deadline = time.monotonic() + 20
        while not first.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    record = read_owner(tmp_path)
    assert record is not None
    assert record.token == "other"


def test_of_many_that_find_a_dead_owner_one_is_left(tmp_path: Path, elsewhere) -> None:
    """Threads for machines: each has found the lock free, as where locks are not shared."""
    leave(tmp_path)
    owners: list[Ownership] = []
    enough = threading.Event()

    def contend() -> None:
        with contextlib.suppress(OwnedError), Ownership(tmp_path, **QUICK) as owner:
            owners.append(owner)
            enough.wait(60)

    names = iter(f"machine{i}" for i in range(1000))
    module.machine = lambda: next(names)  # type: ignore[assignment]  # put back by the fixture
    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 50
    while sum(thread.is_alive() for thread in threads) > len(owners) or sum(not owner.lost for owner in owners) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (left,) = [owner for owner in owners if not owner.lost]
    record = read_owner(tmp_path)
    enough.set()
    for thread in threads:
        thread.join()
    assert record is not None
    assert record.token == left._record.token


def test_a_record_that_is_not_whole_is_nobodys(tmp_path: Path, elsewhere) -> None:
    (tmp_path / OWNER).write_text("{")
    assert not is_beating(tmp_path)
    with Ownership(tmp_path, **QUICK):
        assert read_owner(tmp_path) is not None


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (100, "2 min"), (3600, "1 h 0 min"), (9000, "2 h 30 min")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
