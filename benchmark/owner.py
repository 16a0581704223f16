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
- An owner that finds another's record in its place has been taken for dead: it stops. What both wrote until then is
  the same, since training is a function of the trial.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

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
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if hours:
        return f"{hours} h {round(seconds % 3600 / 60)} min"
    return f"{minutes} min" if minutes else f"{round(seconds)} s"


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
    """The record in a trial's folder; None if there is none, or it is not whole."""
    try:
        return Record(**json.loads((folder / OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


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
        lost: Another took the trial over: stop.

    Raises:
        OwnedError: On entering: another machine runs the trial.
    """

    folder: Path
    beat_s: float = BEAT_S
    dead_s: float = DEAD_S
    lost: bool = False
    _record: Record = field(init=False)
    _done: threading.Event = field(init=False, default_factory=threading.Event)
    _beating: threading.Thread = field(init=False)
    _progress: tuple[int, int] = field(init=False, default=(0, 0))
    _first: int | None = field(init=False, default=None)

    def __enter__(self) -> Self:
        now = time.time()
        self._record = Record(uuid.uuid4().hex, machine(), socket.gethostname(), os.getpid(), now, at=now)
        if not self._create():
            self._take_over()
        self._beating = threading.Thread(target=self._beat, daemon=True)
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._beating.join()
        if self._is_ours():
            (self.folder / OWNER).unlink(missing_ok=True)

    def on_step(self, done: int, steps: int) -> None:
        """Take note of what the next beat is to say."""
        if self._first is None:
            self._first = done - 1
        self._progress = (done, steps)

    def _create(self) -> bool:
        # Whole before it has its name: a link is made exclusively, too, and never shows half a record.
        made = self._written()
        try:
            os.link(made, self.folder / OWNER)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                with (self.folder / OWNER).open("x", encoding="utf-8") as file:
                    file.write(made.read_text(encoding="utf-8"))
            except FileExistsError:
                return False
        finally:
            made.unlink()
        return True

    def _written(self) -> Path:
        path = self.folder / f".owner.{self._record.token}.tmp"
        path.write_text(json.dumps(asdict(self._record)), encoding="utf-8")
        return path

    def _take_over(self) -> None:
        """Put our record in the place of a dead owner's.

        Raises:
            OwnedError: It is alive, or another was faster.
        """
        found = read_owner(self.folder)
        elsewhere = found is not None and found.machine != self._record.machine
        until = time.monotonic() + (self.dead_s if elsewhere else 0)
        while time.monotonic() < until:
            time.sleep(min(self.beat_s, 1.0) / 2)
            self._leave_to_others_than(found)
        self._leave_to_others_than(found)
        self._written().replace(self.folder / OWNER)
        if elsewhere:  # of several who found it dead at one moment, the last to write has it
            time.sleep(min(self.beat_s, 1.0))
            if not self._is_ours():
                raise OwnedError(read_owner(self.folder) or self._record)

    def _leave_to_others_than(self, found: Record | None) -> None:
        """The trial is another's, if the record has changed since it was `found`."""
        now = read_owner(self.folder)
        if now is not None and (found is None or (now.token, now.beats) != (found.token, found.beats)):
            raise OwnedError(now)

    def _is_ours(self) -> bool:
        found = read_owner(self.folder)
        return found is not None and found.token == self._record.token

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
            try:
                if not self._is_ours():
                    self.lost = True
                    return
                self._written().replace(self.folder / OWNER)
            except OSError:
                continue  # a full disk or a lost share stops training itself, where it can be told
