"""Requests for grids, checked before torch is imported or any frame is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.places import check_store, default_cache, default_runs
from benchmark.datasets.folds import resplit
from methods import discover, names
from methods.catalog import FOLDER

METHOD_SETS: dict[str, Callable[[], tuple[str, ...]]] = {
    "paper": lambda: names("paper"),
    "beyond": lambda: names("beyond"),
    "controls": lambda: names("control"),
    "all": lambda: tuple(sorted((*names("paper"), *names("beyond")))),
}
"""Functions that list the methods of a set, by the name of the set."""


@dataclass(frozen=True)
class Execution:
    """Device, processes, threads and checkpoints of trials.

    None of them changes a result on one kind of hardware, but for the number of threads, on which the order of sums in
    floating point depends.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` is the first GPU, or the CPU if there is none.
        threads: CPU threads of each process; 0 to divide all cores among the processes.
        checkpoint_s: Seconds between checkpoints.
        processes: Processes that share the trials; 0 for as many as there are cores, at most those that the free memory
            holds, at most eight, and one on a GPU.
        stop_on_failure: Begin no further trial once one has failed.
    """

    device: str = "auto"
    threads: int = 0
    checkpoint_s: float = 60.0
    processes: int = 1
    stop_on_failure: bool = False


@dataclass(frozen=True)
class GridRequest:
    """Trials of a grid, their data and their store.

    Attributes:
        dataset: Name of the AU dataset.
        methods: Method names, or `paper`, `beyond`, `controls`, `all`; none for the paper's, unless there are `rows`.
        rows: Rows of the profile's `rows`.
        readings: Run the profile's readings of the methods, too.
        parts: Test parts; none for all.
        seeds: Seeds; none for the profile's.
        profile: A profile of the suite or a TOML file; "" for `standin` without a root, else `paper`.
        overrides: Changes to the profile, `KEY=VALUE` each.
        root: The data root; None: the stand-in.
        allow_incomplete: Use data that fail the check; reports say so.
        check_pixels: Compare packed frames with their digests before the first trial; if not, results say so.
        runs: The store.
        cache: Folder of packed frames and stand-ins.
        execution: Device, processes, threads, checkpoints.
        only: Key of the one trial to keep, after the trials that it starts from; "" for all.
        on_cluster: The trials run on other machines, so the device of this one is not tested.

    Example:
        >>> GridRequest("bp4d", methods=("mal",), overrides=("train.steps=5",)).parts
        ()
    """

    dataset: str
    methods: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    readings: bool = False
    parts: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    profile: str = ""
    overrides: tuple[str, ...] = ()
    root: Path | None = None
    allow_incomplete: bool = False
    check_pixels: bool = True
    runs: Path = field(default_factory=default_runs)
    cache: Path = field(default_factory=default_cache)
    execution: Execution = field(default_factory=Execution)
    only: str = ""
    on_cluster: bool = False

    def arguments(self, threads: int) -> list[str]:
        """Arguments of `malbench` that run these trials in one process of so many threads.

        Example:
            >>> GridRequest("bp4d", methods=("mal",), runs=Path("runs"), cache=Path("cache")).arguments(threads=1)[:3]
            ['run', 'bp4d', '--method=mal']
        """
        repeated = {"method": self.methods, "row": self.rows, "part": self.parts}
        return [
            *("run", self.dataset),
            *(f"--{name}={value}" for name, values in repeated.items() for value in values),
            *self.common_arguments(threads),
            f"--checkpoint-every={self.execution.checkpoint_s}",
            *([f"--trial={self.only}"] if self.only else []),
        ]

    def common_arguments(self, threads: int) -> list[str]:
        """Options that all commands with trials have, for one process of so many threads."""
        repeated = {"seed": self.seeds, "set": self.overrides}
        once = {
            "profile": self.profile,
            "data": "" if self.root is None else self.root,
            "runs": self.runs,
            "cache": self.cache,
            "device": self.execution.device,
            "threads": threads,
            "processes": 1,
        }
        flags = {
            "readings": self.readings,
            "allow-incomplete": self.allow_incomplete,
            "skip-pixel-check": not self.check_pixels,
            "stop-on-failure": self.execution.stop_on_failure,
        }
        return [
            *(f"--{name}={value}" for name, values in repeated.items() for value in values),
            *(f"--{name}={value}" for name, value in once.items() if value != ""),
            *(f"--{name}" for name, chosen in flags.items() if chosen),
        ]


@dataclass(frozen=True)
class CheckedRequest:
    """A request with valid names and settings.

    Attributes:
        request: The request.
        profile: The profile after the overrides.
        overrides: The overrides that changed the profile.
        methods: Names of methods, with sets replaced by their members.
    """

    request: GridRequest
    profile: Profile
    overrides: tuple[str, ...]
    methods: tuple[str, ...]


def default_profile(root: Path | None) -> str:
    """Name of the default profile: `standin` without a data root, else `paper`.

    Example:
        >>> default_profile(None)
        'standin'
    """
    return "standin" if root is None else "paper"


def check_request(request: GridRequest) -> CheckedRequest:
    """Check names and settings of a request. A method's own settings are checked later, with its class.

    Raises:
        UserError: An unknown dataset, method, part or row, or a wrong setting.

    Example:
        >>> check_request(GridRequest("bp4d", methods=("mla",)))
        Traceback (most recent call last):
        benchmark.core.errors.UserError: unknown method 'mla'
          expected: a method; `malbench methods` lists them
          remedy:   did you mean 'mal'? ...
    """
    profile, overrides = load_profile(request.profile or default_profile(request.root), request.overrides)
    check_store(request.runs)
    datasets.check_name(request.dataset, "au", profile)
    _check_declared(request, profile)
    datasets.check_name(profile.data.fe, "fe", profile)
    methods = method_names(request.methods, rows=request.rows)
    for section, tables in (("methods", profile.methods), ("readings", profile.readings)):
        _check_sections(section, tables, profile)
    datasets.check_settings(profile)
    if request.parts and request.root is None:
        known = resplit(datasets.open_au(request.dataset, profile).protocol, profile.data.split).parts
        for part in request.parts:
            if part not in known:
                raise UserError(f"unknown part '{part}' of {request.dataset}", remedy=did_you_mean(part, known))
    return CheckedRequest(request, profile, overrides, methods)


def _check_declared(request: GridRequest, profile: Profile) -> None:
    """Refuse trials on a reader that nobody gave a file to read: they would run on drawn people.

    Raises:
        UserError: The dataset is a reader, and neither a data root nor a setting of it is given.
    """
    name = request.dataset
    if datasets.is_reader(name) and request.root is None and name not in profile.sections:
        raise UserError(
            f"'{name}' reads datasets of your own, and none is named",
            expected="a profile that declares one, e.g. mine: "
            f'[datasets.mine] with reader = "{name}" and folder = "FOLDER" (below ROOT)',
            remedy="run it by its name: `malbench run mine --profile FILE --data ROOT`; docs/datasets.md shows such a "
            "profile; the suite's own datasets are those of `malbench datasets`",
        )


def _check_sections(section: str, tables: Iterable[str], profile: Profile) -> None:
    """Refuse settings of a method that there is not.

    Raises:
        UserError: There is no such method.
    """
    known = (*names(), *names("stage"))
    for name in tables:
        if name not in known:
            given = any(key.startswith(f"{section}.{name}.") for key in profile.overridden)
            raise UserError(
                f"settings of an unknown method '{name}'",
                where=f"--set {section}.{name}" if given else profile.path,
                remedy=did_you_mean(name, names()),
            )


def method_names(wanted: Iterable[str], *, rows: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of methods, with sets replaced by their members.

    Args:
        wanted: Names of methods or sets; none for the paper's five methods, unless there are `rows`.
        rows: Rows of the profile that are wanted as well.

    Raises:
        UserError: There is no such method.

    Example:
        >>> method_names(["paper"])
        ('l2t_ww', 'mal', 'mtan', 'mtl', 'stl')
    """
    given = list(wanted) or ([] if list(rows) else ["paper"])
    methods = tuple(member for name in given for member in (METHOD_SETS[name]() if name in METHOD_SETS else (name,)))
    check_methods(methods, names())
    return methods


def check_methods(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is none of the known methods.

    Args:
        wanted: The names.
        known: Names of methods, and of stages where they count.

    Raises:
        UserError: There is no such method, or its file cannot be imported.
    """
    options = tuple(known)
    for name in wanted:
        if name not in options:
            file = FOLDER / f"{name}.py"
            if name.isidentifier() and file.is_file():
                discover()  # a file that cannot be imported says why
            raise UserError(
                f"unknown method '{name}'",
                expected="a method; `malbench methods` lists them",
                found=f"{file}: a stage that methods start from, or support code" if file.is_file() else None,
                remedy=did_you_mean(name, options),
            )
