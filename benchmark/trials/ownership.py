"""Who runs a trial, and when another may take it over: one rule for processes of one machine and of many.

On one machine a file lock decides: the system lets go of it with the process, however that ends. On a folder that
several machines share, locks may not be honoured across them, or outlive a dead machine. So whoever runs a trial also
owns a record in its folder, made by exclusive creation, which network file systems do atomically, and writes a beat
into it every `BEAT_S` seconds. The rule:

- A lock that is held is never broken.
- A record of the same boot of this machine, under a lock that could be had, is of a dead process: it is replaced.
- A record of another machine is watched: whoever beats within `DEAD_S` is alive and keeps the trial; else it is
  replaced. No clock is compared with another.
- Of several who find it dead at one moment, the last to write has the trial; the others see that a second later.
- A record that cannot be read, or is not whole, says nothing: its owner goes on beating, and whoever wants the trial
  watches it as one of another machine.
- An owner that finds another's record in its place, or none, has been taken for dead: it stops, and writes nothing
  more. It may have been paused right after it looked, even in the middle of a write, which then ends beside the work of
  the other. Each write has a temporary name of its own and ends with a rename: a reader sees one whole file or the
  other. Written on one kind of hardware both hold the same bits, since training is a function of the trial; on two
  kinds they need not.
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

from benchmark.core.errors import Interrupted

OWNER = ".owner.json"
BEAT_S = 5.0
DEAD_S = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Record:
    """What the owner says of itself.

    Attributes:
        token: Of this run of the trial alone.
        machine: Changes with the machine and its boot.
        host: Name of the machine, for people.
        pid: Of the process.
        started: Seconds since the epoch.
        first: Steps that were done when it started.
        done: Steps that are done.
        steps: Of the whole training; 0 before the first.
        beats: Counts up.
        at: Seconds since the epoch of the last beat.
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
        """Seconds until the last step at the pace until now; None before there is one."""
        taken = self.done - self.first
        return (self.steps - self.done) * (self.at - self.started) / taken if taken > 0 else None

    def describe(self) -> str:
        """For a person who wants to know when it is done."""
        left = self.left_s()
        words = f"{self.host}, process {self.pid}"
        if self.steps:
            words += f", {self.done:,} of {self.steps:,} steps"
        return words if left is None else f"{words}, {duration(left)} left"


def duration(seconds: float) -> str:
    """Hours and minutes, or minutes, or seconds."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{round(seconds)} s"


_RECORD = TypeAdapter(Record)


class OwnedError(Exception):
    """Another machine runs the trial.

    Attributes:
        record: What it says of itself.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(record.describe())
        self.record = record


@cache
def machine() -> str:
    """An identity of this machine that ends with its boot, where the system tells one."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"


def read_owner(folder: Path) -> Record | None:
    """The record in a trial's folder, for lists; None if there is none, or it cannot be read."""
    try:
        return _read(folder)
    except (OSError, ValueError):
        return None


def _read(folder: Path) -> Record:
    """The record in a trial's folder.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read now.
        ValueError: It is not whole.
    """
    return _RECORD.validate_json((folder / OWNER).read_bytes())


def is_beating(folder: Path) -> bool:
    """Whether a record of another machine is young; for lists, by the clocks that there are."""
    record = read_owner(folder)
    return record is not None and record.machine != machine() and time.time() - record.at < DEAD_S


@dataclass
class Ownership:
    """A trial's folder, owned inside a `with` block; the trial's lock must be held.

    Attributes:
        folder: Of the trial.
        beat_s: Seconds between beats.
        dead_s: Seconds without one after which an owner on another machine counts as dead.
        stop: Asked while an owner on another machine is watched; if true, entering ends with `Interrupted`.
        lost: Another took the trial over: stop, and write nothing.

    Raises:
        OwnedError: On entering: another machine runs the trial.
        Interrupted: On entering: `stop` said so.
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
            ours = False  # or it cannot be told: if it is ours, whoever comes next finds it dead
        if ours:
            (self.folder / OWNER).unlink(missing_ok=True)

    def on_step(self, done: int, steps: int) -> None:
        """Take note of what the next beat is to say."""
        if self._first is None:
            self._first = done - 1
        self._progress = (done, steps)

    def is_lost(self) -> bool:
        """Whether another took the trial over, by a look at the record if the last one is not of this second."""
        # By a clock that goes on while the machine is suspended.
        if not self.lost and abs(time.time() - self._looked) >= min(self.beat_s, 1.0):
            self._look()
        return self.lost

    def _look(self) -> None:
        looked = time.time()
        if self._is_taken():
            self.lost = True
        self._looked = looked

    def _create(self) -> bool:
        # Whole before it has its name: a link is made exclusively, too, and never shows half a record.
        made = self._written()
        try:
            os.link(made, self.folder / OWNER)
        except (FileExistsError, FileNotFoundError):  # not found: whoever finished the trial swept it away
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
        """Put our record in the place of a dead owner's; False if that is gone meanwhile, so that one can be made.

        Raises:
            OwnedError: It is alive, or another was faster.
            Interrupted: `stop` said so.
            OSError: The record can never be read.
        """
        try:
            dead = self._watch()
            self._written().replace(self.folder / OWNER)
        except FileNotFoundError:  # as in `_create`
            return False
        if dead is None or dead.machine != self._record.machine:
            # Of several who found it dead at one moment, the last to write has it.
            time.sleep(min(self.beat_s, 1.0))
            if self._is_taken():
                raise OwnedError(read_owner(self.folder) or self._record)
        return True

    def _watch(self) -> Record | None:
        """Look at a record until its owner is known to be dead; None if it never was whole.

        Raises:
            FileNotFoundError: It is gone.
            OwnedError: Its owner is alive.
            Interrupted: `stop` said so.
            OSError: It can never be read.
        """
        found, began = None, time.monotonic()
        while True:
            silent = time.monotonic() - began >= self.dead_s
            try:
                now = _read(self.folder)
            except FileNotFoundError:
                raise
            except OSError:  # says nothing of its owner
                if time.monotonic() - began >= 2 * self.dead_s:
                    raise
            except ValueError:  # damaged, or being written where there are no links
                if silent:
                    return found
            else:
                if found is None:
                    found, began, silent = now, time.monotonic(), False
                if (now.token, now.beats) != (found.token, found.beats):
                    raise OwnedError(now)
                if silent or now.machine == self._record.machine:
                    return found
            if self.stop():
                raise Interrupted(f"{self.folder.name}: waited to see whether its owner is alive")
            time.sleep(min(self.beat_s, 1.0) / 2)

    def _is_taken(self) -> bool:
        """Whether the record is another's or gone; one that cannot be read, or is not whole, says neither."""
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
                continue  # a full disk or a lost share stops training itself, where it can be told
