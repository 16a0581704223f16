"""Trials on random splits of one dataset's people, and their page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.api.grid import Grid, plan_grid
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import GridRequest, check_request
from benchmark.api.results import read_results
from benchmark.api.series import Series, in_series
from benchmark.core.errors import UserError
from benchmark.report.splits import write_splits
from benchmark.trials.expand import Selection, expand

SPLIT = "data.split"
"""Setting with the number of a split."""


@dataclass(frozen=True)
class SplitsRequest:
    """Trials on random splits.

    Attributes:
        grid: Methods, data and store of the trials; its parts and seeds are those of each split.
        repeats: Number of splits; they have the numbers 1, 2, ...
    """

    grid: GridRequest
    repeats: int = 10


def check_splits(request: SplitsRequest) -> None:
    """Check names and settings, before torch is imported or any frame is read.

    Raises:
        UserError: A wrong name or setting, or an override of the split.
    """
    given = [override for override in request.grid.overrides if override.partition("=")[0].strip() == SPLIT]
    if given:
        raise UserError(
            "the command sets the splits itself",
            found=f"--set {given[0]}",
            remedy="leave it out, or run one split alone: malbench run DATASET --set data.split=NUMBER",
        )
    if request.repeats < 1:
        raise UserError(
            "no split to run", expected="1 or more", found=str(request.repeats), remedy="for example --repeats 10"
        )
    check_request(_of_split(request.grid, 1))


def plan_splits(request: SplitsRequest, listener: Listener = SILENT) -> Series:
    """The grid of each split; the data are read and checked once.

    Args:
        request: The splits.
        listener: Receives progress.

    Raises:
        UserError: A wrong name or setting; data are missing, damaged or incomplete.

    Example:
        >>> from benchmark import api
        >>> request = SplitsRequest(api.GridRequest("bp4d", methods=("stl",), profile="smoke"), repeats=2)
        >>> [len(titled.grid.trials) for titled in plan_splits(request).grids]  # doctest: +SKIP
        [3, 3]
    """
    requests = [_of_split(request.grid, number) for number in range(1, request.repeats + 1)]
    first = plan_grid(requests[0], listener)
    grids = [first, *(_with_split(first, later) for later in requests[1:])]
    titles = [f"split {number} of {request.repeats}" for number in range(1, request.repeats + 1)]
    return in_series(titles, grids, request.grid.execution)


def _of_split(grid: GridRequest, number: int) -> GridRequest:
    return replace(grid, overrides=(*grid.overrides, f"{SPLIT}={number}"))


def _with_split(grid: Grid, request: GridRequest) -> Grid:
    """The grid of another split on the same frames."""
    data, checked = grid.data, check_request(request)
    profile = checked.profile
    chosen = replace(data.chosen, split=profile.data.split)
    protocol = chosen.protocol_at(data.root, set(data.frames.au.faces.table["subject"]))
    frames = replace(data.frames, profile=profile.for_result())
    moved = replace(data, profile=profile, overrides=checked.overrides, chosen=chosen, protocol=protocol, frames=frames)
    selection = Selection(checked.methods, request.parts, request.seeds, request.rows, request.readings)
    trials = expand(profile, checked.overrides, grid.registry, moved.sources, selection)
    return replace(grid, trials=tuple(trials), data=moved, request=request)


def write_splits_page(dataset: str, runs: Path, out: Path) -> Path:
    """Write `splits-DATASET.md` from the finished trials of a store, and `splits-DATASET.parquet` beside it.

    Args:
        dataset: Name of the AU dataset.
        runs: Store of the trials, or a results file.
        out: Folder of the page.

    Returns:
        The page.

    Raises:
        UserError: No method has two splits with all parts, or a finished trial is damaged.

    Example:
        >>> page = write_splits_page("bp4d", Path("runs/splits"), Path("page"))  # doctest: +SKIP
    """
    stored = read_results(runs)
    of_dataset = stored.select(stored.trials.loc[stored.trials["dataset"] == dataset, "trial"])
    page = write_splits(of_dataset, out, f"splits-{dataset}.md")
    of_dataset.write(page.with_suffix(".parquet"))
    return page
