"""Several grids that run one after another, each shared by the same processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from benchmark.api.grid import Grid
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import Execution
from benchmark.launch.processes import Sharing
from benchmark.trials.runner import Outcome


@dataclass(frozen=True)
class Titled:
    """A grid and its name for readers."""

    title: str
    grid: Grid


@dataclass(frozen=True)
class Series:
    """Grids in the order in which they run.

    Attributes:
        grids: The grids.
        execution: Device, processes and threads that were asked for.
    """

    grids: tuple[Titled, ...]
    execution: Execution

    def sharing(self) -> Sharing:
        """Number of processes that share the grids, at most what the largest grid allows, and threads of each."""
        asked = [
            replace(titled.grid, request=replace(titled.grid.request, execution=self.execution)).sharing()
            for titled in self.grids
        ]
        return min(asked, key=lambda shared: shared.processes)

    def run(self, run_grid: Callable[[Grid], list[Outcome]], threads: int, listener: Listener = SILENT) -> bool:
        """Run every grid, and return whether a trial failed.

        Args:
            run_grid: Called with each grid to run it; returns its outcomes.
            threads: CPU threads of this process.
            listener: Receives progress.

        Raises:
            UserError: The trials of a grid cannot fit on the disk or the device.
        """
        # Each grid runs in this process; the others run the same series.
        execution = replace(self.execution, processes=1, threads=threads)
        torch.set_num_threads(threads)
        failed = False
        for titled in self.grids:
            listener.note(titled.title)
            grid = replace(titled.grid, request=replace(titled.grid.request, execution=execution), listener=listener)
            grid.check_needs(grid.needs())
            failed |= any(outcome.why is not None for outcome in run_grid(grid))
        return failed


def in_series(titles: Sequence[str], grids: Sequence[Grid], execution: Execution) -> Series:
    """A series of grids with these titles."""
    return Series(tuple(Titled(*pair) for pair in zip(titles, grids, strict=True)), execution)
