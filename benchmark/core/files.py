"""Reading of files that a user, another program or an accident may have replaced."""

from __future__ import annotations

import csv
import json
import os
import stat
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.core.errors import UserError

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def regular(path: Path) -> Path:
    """The path, if it leads to a regular file or to nothing: a read from a FIFO would wait for ever.

    Raises:
        UserError: It leads to a folder, a FIFO, a socket or a device.

    Example:
        >>> regular(Path("/dev/null"))
        Traceback (most recent call last):
        benchmark.core.errors.UserError: not a regular file...
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # the open that follows reports it
    if not stat.S_ISREG(mode):
        kind = next((name for matches, name in _KINDS if matches(mode)), "something else")
        raise UserError(
            "not a regular file",
            where=path,
            expected="a file",
            found=kind,
            remedy="put the file itself there, or name another one",
        )
    return path


def read_bytes(path: Path | str) -> bytes:
    """Content of a regular file.

    Raises:
        UserError: The path leads to something else, as for `regular`.
        OSError: The file cannot be read.
    """
    # Without O_NONBLOCK the open of a FIFO waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            regular(Path(path))
        return stream.read()


def parse_json(text: str | bytes) -> Any:
    """Value of a JSON text.

    Raises:
        ValueError: The text is no JSON, or is nested too deep to be read.

    Example:
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ValueError: nested too deep
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def json_object(text: str | bytes) -> dict[str, Any]:
    """Value of a JSON text that is an object.

    Raises:
        ValueError: The text is no JSON, is nested too deep, or holds no object.
    """
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError(f"a JSON {type(content).__name__} in place of an object")
    return content


def parse_toml(text: str) -> dict[str, Any]:
    """Content of a TOML text.

    Raises:
        tomllib.TOMLDecodeError: The text is no TOML, or is nested too deep to be read.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("nested too deep") from None


def row_place(file: Path, row: int) -> str:
    """A row of a table with a header, for an error: its line in a CSV file, else its number.

    Args:
        file: CSV or parquet file.
        row: Row from 0; empty lines and the header do not count.

    Example:
        >>> row_place(Path("mine.parquet"), 0)
        'mine.parquet, row 1'
    """
    if file.suffix != ".parquet":
        with suppress(OSError, UnicodeDecodeError, csv.Error), file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            ends = [reader.line_num for cells in reader if any(cells)]
            if row + 1 < len(ends):
                return f"{file}, line {ends[row + 1]}"
    return f"{file}, row {row + 1}"
