"""Standard streams that may be closed, broken, or unable to show every character."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TextIO

from benchmark.core.errors import UserError

TERMINATED = 128 + signal.SIGTERM
BROKEN_PIPE = 128 + 13
"""Exit status after the reader of the output has gone; 13 is the number of SIGPIPE."""


class OutputClosed(UserError):
    """The reader of the output has gone, as after `| head -1`."""

    def __init__(self) -> None:
        super().__init__(
            "the reader of the output has gone, and the command stopped",
            expected="an output that stays open until the end",
            remedy="finished trials are kept, and the same command goes on from there; write into a file with `> FILE`",
        )


class Output(io.TextIOBase):
    """Standard output that says once that its reader has gone, and takes whatever comes after.

    Args:
        stream: The stream behind it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream behind it."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether the stream behind it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Descriptor of the stream behind it."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, text: str) -> int:
        """Write text; the first time after the reader has gone is an error.

        Raises:
            OutputClosed: The reader has gone.
        """
        if not self._gone:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._end(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered; errors as for `write`."""
        if not self._gone:
            try:
                self._stream.flush()
            except OSError as error:
                self._end(error)

    def _end(self, error: OSError) -> NoReturn:
        if error.errno != errno.EPIPE:
            raise error
        self._gone = True
        # What is buffered has no reader, and the end of the interpreter would complain.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        raise OutputClosed


def prepare_streams() -> None:
    """Make the standard streams usable: open, and able to show any character in some way."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file that is opened would get its number, and what is printed
            os.open(os.devnull, os.O_RDONLY if descriptor == 0 else os.O_WRONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(descriptor, "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = Output(sys.stdout)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process inside as an exception does, so that scratch folders are deleted."""

    def end(_number: int, _frame: FrameType | None) -> None:
        sys.exit(TERMINATED)

    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
