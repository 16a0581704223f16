"""Ownership of trials: one process of many runs a trial, and another only once the first is dead."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmark.core.errors import Interrupted
from benchmark.trials import ownership as module
from benchmark.trials.ownership import OWNER, OwnedError, Ownership, Record, duration, is_beating, read_owner

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


def fail(monkeypatch: pytest.MonkeyPatch, fails) -> None:
    """Let the record not be read where `fails()`."""
    real = module._read

    def read(folder: Path) -> Record:
        if fails():
            raise OSError(errno.EIO, "Input/output error")
        return real(folder)

    monkeypatch.setattr(module, "_read", read)


def beats_after(folder: Path, beats: int) -> Record:
    """The record once it has more beats."""
    deadline = time.monotonic() + 20
    while (now := read_owner(folder)) is None or now.beats <= beats:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return now


def test_a_record_that_cannot_be_read_loses_nothing(tmp_path: Path, elsewhere, monkeypatch) -> None:
    broken = threading.Event()
    fail(monkeypatch, broken.is_set)
    with Ownership(tmp_path, **QUICK) as owner:
        before = beats_after(tmp_path, 0)
        broken.set()
        time.sleep(5 * QUICK["beat_s"])
        assert read_owner(tmp_path) is None
        assert not owner.is_lost()
        broken.clear()
        now = beats_after(tmp_path, before.beats + 1)  # it went on beating
        assert now.token == before.token
        (tmp_path / OWNER).write_text('{"token":')
        assert beats_after(tmp_path, now.beats).token == before.token
        assert not owner.is_lost()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_is_gone_is_lost(tmp_path: Path, elsewhere) -> None:
    with Ownership(tmp_path, **QUICK) as owner:
        (tmp_path / OWNER).unlink()
        deadline = time.monotonic() + 20
        while not owner.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert list(tmp_path.iterdir()) == []


def test_who_cannot_tell_whose_the_record_is_leaves_it(tmp_path: Path, elsewhere, monkeypatch) -> None:
    broken = threading.Event()
    fail(monkeypatch, broken.is_set)
    with Ownership(tmp_path, **QUICK):
        broken.set()
    assert [path.name for path in tmp_path.iterdir()] == [OWNER]


def test_a_look_does_not_wait_for_the_next_beat(tmp_path: Path, elsewhere) -> None:
    with Ownership(tmp_path, beat_s=1000) as owner:
        assert not owner.is_lost()
        leave(tmp_path, token="other")
        deadline = time.monotonic() + 20
        while not owner.is_lost():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_live_owner_is_not_taken_for_dead_because_it_cannot_be_read(tmp_path: Path, elsewhere, monkeypatch) -> None:
    left = iter((True, True, True))
    here = threading.current_thread()
    with Ownership(tmp_path, **QUICK) as first:
        fail(monkeypatch, lambda: threading.current_thread() is here and next(left, False))
        elsewhere("there")
        with pytest.raises(OwnedError):
            Ownership(tmp_path, beat_s=0.05, dead_s=60).__enter__()
        assert next(left, None) is None
        assert not first.is_lost()


def test_a_record_that_can_never_be_read_is_told(tmp_path: Path, elsewhere, monkeypatch) -> None:
    record = leave(tmp_path)
    with monkeypatch.context() as patch:
        fail(patch, lambda: True)
        with pytest.raises(OSError, match="Input/output error"):
            Ownership(tmp_path, **QUICK).__enter__()
    assert read_owner(tmp_path) == record


def test_a_record_that_goes_while_it_is_watched_makes_room(tmp_path: Path, elsewhere) -> None:
    leave(tmp_path)
    going = threading.Timer(0.3, (tmp_path / OWNER).unlink)
    going.start()
    began = time.monotonic()
    with Ownership(tmp_path, beat_s=0.05, dead_s=60) as owner:
        assert time.monotonic() - began < 30
        assert not owner.is_lost()


def test_a_watch_ends_when_it_is_asked_to(tmp_path: Path, elsewhere) -> None:
    record = leave(tmp_path)
    began = time.monotonic()
    with pytest.raises(Interrupted, match="alive"):
        Ownership(tmp_path, stop=lambda: time.monotonic() - began > 0.5).__enter__()
    assert 0.5 < time.monotonic() - began < 2.5
    assert read_owner(tmp_path) == record
    assert [path.name for path in tmp_path.iterdir()] == [OWNER]


def test_what_is_swept_away_before_it_has_its_name_is_made_again(tmp_path: Path, elsewhere, monkeypatch) -> None:
    real, swept = os.link, []

    def link(made: Path, name: Path) -> None:
        if not swept:
            swept.append(made)
            made.unlink()
        real(made, name)

    monkeypatch.setattr(os, "link", link)
    with Ownership(tmp_path, **QUICK) as owner:
        assert swept
        assert read_owner(tmp_path) == owner._record


def test_a_record_that_is_not_whole_is_nobodys(tmp_path: Path, elsewhere) -> None:
    (tmp_path / OWNER).write_text("{")
    assert not is_beating(tmp_path)
    with Ownership(tmp_path, **QUICK):
        assert read_owner(tmp_path) is not None


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (100, "2 min"), (3600, "1 h 0 min"), (9000, "2 h 30 min")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
