"""`malbench` in a process of its own, which may be killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
"""Processes are forked from a server that has imported everything, so that a kill meets work and no import."""
CONTEXT.set_forkserver_preload(["benchmark.cli", "torch._dynamo"])

_TRAINING = re.compile(r"\((?P<key>[0-9a-f]{16})\): training")


def start(log: Path, *arguments: str | Path) -> BaseProcess:
    """Start `malbench ARGUMENTS`; what it says is added to `log`."""
    process = CONTEXT.Process(target=_main, args=(log, [str(argument) for argument in arguments]))
    process.start()
    return process


def _main(log: Path, arguments: list[str]) -> None:
    from benchmark.cli import main

    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.argv = ["malbench", *arguments]
    main()


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
