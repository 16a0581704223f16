"""Callbacks by which long work reports to its caller. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.config.trial import Trial
    from benchmark.trials.states import State


def _ignore(*_: object) -> None:
    """Take any arguments and do nothing."""


@dataclass(frozen=True)
class Listener:
    """Callbacks of long work; each does nothing by default.

    Attributes:
        note: Called with one sentence.
        progress: Called with (name of the work, items done, items).
        on_trial: Called before each trial with the trial and its state.
    """

    note: Callable[[str], None] = _ignore
    progress: Callable[[str, int, int], None] = _ignore
    on_trial: Callable[[Trial, State], None] = _ignore


SILENT = Listener()
