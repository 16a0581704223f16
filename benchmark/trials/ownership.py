"""Ownership of trials: one process runs a trial, and another takes it over once the first is dead.

On one machine a file lock decides: the system releases it when the process ends. On a folder that several machines
share, a lock may have no effect on the other machines, or outlive a dead machine. So the process that runs a trial also
owns a record in the trial's folder. It creates the record exclusively, which network file systems do atomically, and
writes a heartbeat into it every `BEAT_S` seconds. The rules:

- No process breaks a lock that another one holds.
- A record of the same boot of this machine, without a held lock, belongs to a dead process: it is replaced.
- A record of another machine is watched: an owner with a heartbeat within `DEAD_S` seconds is alive and keeps the
  trial; otherwise the record is replaced. Clocks of different machines are never compared.
- If several processes see a dead owner at the same time, the last one to write owns the trial; the others notice a
  second later.
- A record that cannot be read, or is incomplete, proves nothing: its owner keeps beating, and other processes watch it
  like a record of another machine.
- An owner that sees another record in place of its own, or none, has been declared dead: it stops and writes nothing
  more. It may have been paused right after its check, even in the middle of a write, which then ends beside the work of
  the new owner. Every write has a temporary name of its own and ends with a rename, so a reader sees one complete file
  or the other. On one kind of hardware both files hold the same bits, since training is a function of the trial; on
  different kinds they may differ.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from benchmark.core.errors import Interrupted, UserError
from benchmark.core.files import read_bytes

OWNER = ".owner.json"
BEAT_S = 5.0
DEAD_S = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Record:
    """The owner's record in a trial's folder.

    Attributes:
        token: Unique identifier of this run of the trial.
        machine: Identifier of the machine and its boot.
        host: Readable name of the machine.
        pid: Process id of the owner.
        started: Time of the start, in seconds since the epoch.
        first: Steps done at the start.
        done: Steps done.
        steps: Steps of the whole training; 0 before the first.
        beats: Number of heartbeats.
        at: Time of the last heartbeat, in seconds since the epoch.
    """

    token: str
    machine: str
    host: str
    pid: int
    started: float
    first: int = 0
    done: int = 0
    steps: int = 0
    beats: int = 0
    at: float = 0.0

    def left_s(self) -> float | None:
        """Seconds until the last step, at the mean pace so far; None before the first step."""
        taken = self.done - self.first
        return (self.steps - self.done) * (self.at - self.started) / taken if taken > 0 else None

    def describe(self) -> str:
        """Host, process, steps done and time left, in words."""
        left = self.left_s()
        words = f"{self.host}, process {self.pid}"
        if self.steps:
            words += f", {self.done:,} of {self.steps:,} steps"
        return words if left is None else f"{words}, {duration(left)} left"


def duration(seconds: float) -> str:
    """A number of seconds in words: hours and minutes, minutes, or seconds."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{round(seconds)} s"


_RECORD = TypeAdapter(Record)


class OwnedError(Exception):
    """Another machine runs the trial.

    Attributes:
        record: Record of the owner.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(record.describe())
        self.record = record


@cache
def machine() -> str:
    """Identifier of this machine, which changes with each boot where the system has a boot id."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"


def read_owner(folder: Path) -> Record | None:
    """Read the record in a trial's folder, for lists; None if there is none, or it cannot be read."""
    try:
        return _read(folder)
    except (OSError, ValueError):
        return None


def _read(folder: Path) -> Record:
    """Read the record in a trial's folder.

    Raises:
        FileNotFoundError: There is no record.
        OSError: The record cannot be read now.
        ValueError: The record is incomplete, or no file.
    """
    try:
        return _RECORD.validate_json(read_bytes(folder / OWNER))
    except UserError as error:
        raise ValueError(str(error.found)) from error


def is_beating(folder: Path) -> bool:
    """Whether another machine wrote a heartbeat lately; for lists, since it compares the clocks of two machines."""
    record = read_owner(folder)
    return record is not None and record.machine != machine() and time.time() - record.at < DEAD_S


@dataclass
class Ownership:
    """A trial's folder, owned inside a `with` block; the trial's lock must be held.

    Attributes:
        folder: Folder of the trial.
        beat_s: Seconds between heartbeats.
        dead_s: Seconds without a heartbeat after which an owner on another machine counts as dead.
        stop: Called while an owner on another machine is watched; True ends the wait with `Interrupted`.
        lost: Whether another process has taken the trial over: stop, and write nothing.

    Raises:
        OwnedError: On entering: another machine runs the trial.
        Interrupted: On entering: `stop` returned True.
    """

    folder: Path
    beat_s: float = BEAT_S
    dead_s: float = DEAD_S
    stop: Callable[[], bool] = lambda: False
    lost: bool = False
    _record: Record = field(init=False)
    _done: threading.Event = field(init=False, default_factory=threading.Event)
    _beating: threading.Thread = field(init=False)
    _progress: tuple[int, int] = field(init=False, default=(0, 0))
    _first: int | None = field(init=False, default=None)
    _looked: float = field(init=False, default=0.0)

    def __enter__(self) -> Self:
        now = time.time()
        self._record = Record(uuid.uuid4().hex, machine(), socket.gethostname(), os.getpid(), now, at=now)
        while not (self._create() or self._take_over()):
            pass
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._beating.join()
        try:
            ours = _read(self.folder).token == self._record.token
        except (OSError, ValueError):
            ours = False  # or unknown: if it is ours, the next process takes it over
        if ours:
            (self.folder / OWNER).unlink(missing_ok=True)

    def on_step(self, done: int, steps: int) -> None:
        """Store the progress for the next heartbeat."""
        if self._first is None:
            self._first = done - 1
        self._progress = (done, steps)

    def is_lost(self) -> bool:
        """Whether another process has taken the trial over; reads the record at most once a second."""
        # The wall clock goes on while the machine is suspended.
        if not self.lost and abs(time.time() - self._looked) >= min(self.beat_s, 1.0):
            self._look()
        return self.lost

    def _look(self) -> None:
        looked = time.time()
        if self._is_taken():
            self.lost = True
        self._looked = looked

    def _create(self) -> bool:
        # The record is complete before it gets its name: a link is exclusive, too, and never shows half a record.
        made = self._written()
        try:
            os.link(made, self.folder / OWNER)
        except (FileExistsError, FileNotFoundError):  # not found: the process that finished the trial deleted it
            return False
        except OSError:  # a file system without links
            try:
                with (self.folder / OWNER).open("x", encoding="utf-8") as file:
                    file.write(self._text())
            except FileExistsError:
                return False
        finally:
            made.unlink(missing_ok=True)
        return True

    def _text(self) -> str:
        return json.dumps(asdict(self._record))

    def _written(self) -> Path:
        path = self.folder / f".owner.{self._record.token}.tmp"
        path.write_text(self._text(), encoding="utf-8")
        return path

    def _take_over(self) -> bool:
        """Replace the record of a dead owner; False if it is gone, so that a new record can be created.

        Raises:
            OwnedError: The owner is alive, or another process was faster.
            Interrupted: `stop` returned True.
            OSError: The record stays unreadable.
        """
        try:
            dead = self._watch()
            self._written().replace(self.folder / OWNER)
        except FileNotFoundError:  # as in `_create`
            return False
        if dead is None or dead.machine != self._record.machine:
            # If several processes saw a dead owner, the last one to write owns the trial.
            time.sleep(min(self.beat_s, 1.0))
            if self._is_taken():
                raise OwnedError(read_owner(self.folder) or self._record)
        return True

    def _watch(self) -> Record | None:
        """Watch a record until its owner counts as dead, and return it; None if it was never complete.

        Raises:
            FileNotFoundError: The record is gone.
            OwnedError: The owner is alive.
            Interrupted: `stop` returned True.
            OSError: The record stays unreadable.
        """
        seen, began = None, time.monotonic()
        while True:
            silent = time.monotonic() - began >= self.dead_s
            try:
                now = _read(self.folder)
            except FileNotFoundError:
                raise
            except OSError:  # this proves nothing about the owner
                if time.monotonic() - began >= 2 * self.dead_s:
                    raise
            except ValueError:  # damaged, or half written on a file system without links
                if silent:
                    return seen
            else:
                if seen is None:
                    seen, began, silent = now, time.monotonic(), False
                if (now.token, now.beats) != (seen.token, seen.beats):
                    raise OwnedError(now)
                if silent or now.machine == self._record.machine:
                    return seen
            if self.stop():
                raise Interrupted(f"{self.folder.name}: waited to see whether its owner is alive")
            time.sleep(min(self.beat_s, 1.0) / 2)

    def _is_taken(self) -> bool:
        """Whether the record is another's or gone; False if it cannot be read or is incomplete."""
        try:
            return _read(self.folder).token != self._record.token
        except FileNotFoundError:
            return True
        except (OSError, ValueError):
            return False

    def _beat(self) -> None:
        while not self._done.wait(self.beat_s):
            done, steps = self._progress
            self._record = Record(
                **{
                    **asdict(self._record),
                    "first": self._first or 0,
                    "done": done,
                    "steps": steps,
                    "beats": self._record.beats + 1,
                    "at": time.time(),
                }
            )
            self._look()
            if self.lost:
                return
            try:
                self._written().replace(self.folder / OWNER)
            except OSError:
                continue  # a full disk or a lost share ends the training, which reports it
