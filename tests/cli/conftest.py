"""The command line in this process, in a store and a cache of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import main

Malbench = Callable[..., tuple[int, str, str]]
"""Runs the command line with arguments; returns status, output and error output."""


@pytest.fixture
def malbench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Malbench:
    """Runs the command line in a store and cache of its own; returns status, output and error output."""
    monkeypatch.setenv("MALBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("MALBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MALBENCH_DATA", raising=False)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["malbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call
