"""`malbench` in a process of its own, which may be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
"""Processes are forked from a server that has imported everything, so that a kill meets work and no import."""
CONTEXT.set_forkserver_preload(["benchmark.cli", "torch._dynamo"])

_TRAINING = re.compile(r"\((?P<key>[0-9a-f]{16})\): training")


TOKEN = "MALBENCH_TEST_TOKEN"
"""Variable by which processes that a command started are known."""


def start(
    log: Path,
    *arguments: str | Path,
    before: Callable[[], None] | None = None,
    token: str = "",
    errors: Path | None = None,
) -> BaseProcess:
    """Start `malbench ARGUMENTS`; what it says is added to `log`, and to `errors` if they are to stand apart.

    `before` is called in the process first; processes that it starts are found by `token`.
    """
    words = [str(argument) for argument in arguments]
    process = CONTEXT.Process(target=_main, args=(log, errors or log, words, before, token))
    process.start()
    return process


def _main(log: Path, errors: Path, arguments: list[str], before: Callable[[], None] | None, token: str) -> None:
    from benchmark.cli import main

    os.environ[TOKEN] = token
    if before is not None:
        before()
    log.parent.mkdir(parents=True, exist_ok=True)
    for stream, file in ((1, log), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    sys.argv = ["malbench", *arguments]
    main()


def started_with(token: str) -> list[int]:
    """Processes that a command with this token started, and that still run."""
    wanted, running = f"{TOKEN}={token}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                running.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return running


def as_another_machine() -> None:
    """Let this process be one of another machine: it sees no lock of this one, and waits a second for a dead owner."""
    from benchmark.trials import ownership, runner

    class NoLock:
        is_locked = False

        def __init__(self, _path: Path) -> None:
            pass

        def acquire(self, timeout: float = 0) -> AbstractContextManager[None]:
            self.is_locked = True
            return nullcontext()

        def release(self) -> None:
            self.is_locked = False

    ownership.machine.cache_clear()
    ownership._BOOT = Path("/nowhere")
    runner.FileLock = NoLock  # type: ignore[attr-defined, misc]
    runner.Ownership = partial(ownership.Ownership, beat_s=0.2, dead_s=1.0)  # type: ignore[attr-defined, misc, assignment]


def with_two_workers() -> None:
    """Let this process draw with two workers, whatever cores it has."""
    from benchmark.standin import pictures

    pictures.available_cores = lambda: 2
    pictures._SERIAL_BELOW = 0


def trained(logs: Iterable[Path]) -> Counter[str]:
    """How often the training of each trial began, by its key."""
    return Counter(match["key"] for log in logs for match in _TRAINING.finditer(log.read_text(encoding="utf-8")))


def contents(runs: Path) -> dict[str, bytes]:
    """Every file of a store but locks and provenance, which holds times; its hash in DONE is left out, too."""
    return {
        path.relative_to(runs).as_posix(): re.sub(rb"(?m)^\w+ provenance\.json\n", b"", path.read_bytes())
        for path in sorted(runs.rglob("*"))
        if path.is_file() and path.name not in {".lock", "provenance.json"}
    }
