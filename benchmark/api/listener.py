"""Callbacks that report progress to the caller. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmark.config.trial import Trial
    from benchmark.launch.watch import View
    from benchmark.trials.states import State


def _ignore(*_: object) -> None:
    """Take any arguments and do nothing."""


@dataclass(frozen=True)
class Listener:
    """Callbacks of long-running functions; by default they do nothing.

    Attributes:
        note: Called with one sentence.
        progress: Called with (name of the work, items done, items).
        on_trial: Called before each trial with the trial and its state.
        on_view: Called every few seconds, from another thread, while several processes share the trials.

    Example:
        >>> Listener(note=print).note("packing bp4d")
        packing bp4d
    """

    note: Callable[[str], None] = _ignore
    progress: Callable[[str, int, int], None] = _ignore
    on_trial: Callable[[Trial, State], None] = _ignore
    on_view: Callable[[View], None] = _ignore


SILENT = Listener()
