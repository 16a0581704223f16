"""Networks trained on one dataset and scored on the people of others, and their page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from benchmark import datasets
from benchmark.api.data import LoadedData, load_data
from benchmark.api.grid import Grid, plan_grid
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import GridRequest, check_request
from benchmark.api.results import read_results
from benchmark.api.series import Series, in_series
from benchmark.core.errors import UserError
from benchmark.report.cross import write_cross
from benchmark.trials.elsewhere import Place, check_people, shared_aus
from benchmark.trials.expand import AuSource, on_other_datasets


@dataclass(frozen=True)
class CrossRequest:
    """Trainings and the datasets that they are tested on.

    Attributes:
        train: Names of the AU datasets that networks are trained on.
        test: Names of the AU datasets that they are tested on.
        grid: Methods, seeds, profile and store; its dataset does not count.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    grid: GridRequest

    @property
    def names(self) -> tuple[str, ...]:
        """All datasets, each once."""
        return tuple(dict.fromkeys((*self.train, *self.test)))


def check_cross(request: CrossRequest) -> None:
    """Check names, settings and common AUs, before torch is imported or any frame is read.

    Raises:
        UserError: A wrong name or setting, no pair of two datasets, or two datasets without a common AU.
    """
    for name in request.names:
        profile = check_request(replace(request.grid, dataset=name)).profile
    if not any(a != b for a in request.train for b in request.test):
        raise UserError(
            "no network is tested on another dataset",
            found=f"--train {','.join(request.train)} --test {','.join(request.test)}",
            remedy="name at least two datasets",
        )
    protocols = {name: datasets.open_au(name, profile).protocol for name in request.names}
    for a, b in permutations(request.names, 2):
        shared_aus(protocols[a], protocols[b])


def plan_cross(request: CrossRequest, listener: Listener = SILENT) -> Series:
    """The grid of each training dataset: its trainings, then their tests on the other datasets.

    A dataset whose backbones would start from a tested dataset starts without it, so that nobody is in training and in
    test.

    Args:
        request: The datasets, methods and store.
        listener: Receives progress.

    Raises:
        UserError: A wrong name or setting; data are missing, damaged or incomplete; two datasets share people.

    Example:
        >>> from benchmark import api
        >>> request = CrossRequest(("bp4d",), ("gft",), api.GridRequest("bp4d", methods=("stl",), profile="smoke"))
        >>> plan_cross(request).grids[0].title  # doctest: +SKIP
        'trained on bp4d'
    """
    check_cross(request)
    grids = {name: plan_grid(_request(request, name, listener), listener) for name in request.train}
    loaded: dict[str, LoadedData] = {name: grid.data for name, grid in grids.items()}
    for name in request.test:
        if name not in loaded:
            loaded[name] = _load(request, name, listener)
    places = {name: (data.protocol, data.frames) for name, data in loaded.items()}
    for name in request.train:
        for other in request.test:
            if other != name:
                check_people(places[name], places[other])
    made = [_with_tests(grids[name], {test: places[test] for test in request.test}) for name in request.train]
    return in_series([f"trained on {name}" for name in request.train], made, request.grid.execution)


def _request(request: CrossRequest, name: str, listener: Listener) -> GridRequest:
    """Request for the trainings on one dataset, whose backbones start from no tested dataset."""
    of_dataset = replace(request.grid, dataset=name)
    start = datasets.open_au(name, check_request(of_dataset).profile).start
    if start is None or start.dataset not in request.test:
        return of_dataset
    listener.note(f"backbones of {name} do not start from {start.dataset} (A14), whose people are tested")
    return replace(of_dataset, overrides=(*of_dataset.overrides, f"{name}.start.method="))


def _load(request: CrossRequest, name: str, listener: Listener) -> LoadedData:
    """Data of a dataset that is only tested."""
    of_dataset = _request(request, name, listener)
    checked = check_request(of_dataset)
    return load_data(
        name,
        profile=checked.profile,
        overrides=checked.overrides,
        root=of_dataset.root,
        cache=of_dataset.cache,
        allow_incomplete=of_dataset.allow_incomplete,
        check_pixels=of_dataset.check_pixels,
        listener=listener,
    )


def _with_tests(grid: Grid, places: Mapping[str, Place]) -> Grid:
    """A grid of trainings with the tests of its networks on other datasets."""
    others = {name: place for name, place in places.items() if name != grid.request.dataset}
    sources = [AuSource(protocol, data.fingerprints) for protocol, data in others.values()]
    tests = on_other_datasets(grid.trials, sources)
    data = replace(grid.data, others={**grid.data.others, **others})
    return replace(grid, trials=(*grid.trials, *tests), data=data)


def write_cross_page(runs: Path, out: Path) -> Path:
    """Write `cross.md` from the finished trials of a store, and `cross.parquet` beside it.

    Args:
        runs: Store of the trials, or a results file.
        out: Folder of the page.

    Returns:
        The page.

    Raises:
        UserError: No network was tested on another dataset, or a finished trial is damaged.

    Example:
        >>> page = write_cross_page(Path("runs/cross"), Path("runs/cross/report"))  # doctest: +SKIP
    """
    results = read_results(runs)
    page = write_cross(results, out)
    results.write(page.with_suffix(".parquet"))
    return page
