"""Writes that are interrupted or simultaneous."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from benchmark.core.atomic import write_atomically


def test_two_writers_of_one_file_never_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins and ends while the first is paused in the middle of its write."""
    file, real, seen = tmp_path / "x", os.fsync, []

    def paused(number: int) -> None:
        real(number)
        if not seen:
            seen.append("first")
            write_atomically(file, b"second")
            seen.append(file.read_text())

    monkeypatch.setattr(os, "fsync", paused)
    write_atomically(file, b"the first")
    assert seen == ["first", "second"]
    assert file.read_text() == "the first"
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomically(tmp_path / "x", b"before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(tmp_path / "x", b"after")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "before")]
