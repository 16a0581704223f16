"""Arguments that several commands share, their defaults, and exit statuses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli.names import (
    PARTS,
    au_datasets,
    completing,
    completing_list,
    dataset_of,
    methods_and_sets,
    methods_of,
    one_method_of,
    part_of,
    profile_of,
    seed_of,
)
from benchmark.config.names import profile_names
from benchmark.core.errors import UserError
from benchmark.core.places import DATA_VARIABLE, default_cache, default_reports, default_runs
from methods.catalog import names as method_names

CHECK_FAILED = 1
"""Exit status of `data check` if data are incomplete or damaged."""
TRIAL_FAILED = 1
"""Exit status of `run` if a trial failed; the other trials ran."""


def path_of(text: str) -> Path:
    """Path of an option.

    Raises:
        UserError: The text is empty: it would mean the current folder, and is most often a variable that is not set.
    """
    if not text:
        raise UserError(
            "a path is empty",
            expected="the name of a file or folder",
            found="''",
            remedy="give the option a name, or leave it out; the current folder is '.'",
        )
    return Path(text)


AU_NAMES = ", ".join(au_datasets())


def dataset_argument(about: str, known: Callable[[], Iterable[str]] = au_datasets, *, metavar: str = "DATASET") -> Any:
    """Argument for the name of a dataset, which the shell completes to one of those known."""
    return typer.Argument(help=about, parser=dataset_of, metavar=metavar, autocompletion=completing(known))


Dataset = Annotated[str, dataset_argument(f"A dataset: {AU_NAMES}, or one that the profile declares.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help=f"A method, or a set of them; repeatable. `paper`, the default: {', '.join(method_names('paper'))}. "
        f"`beyond`: {', '.join(method_names('beyond'))}. `controls`: {', '.join(method_names('control'))}. "
        "`all`: `paper` and `beyond`.",
        parser=one_method_of,
        metavar="NAME",
        autocompletion=completing(methods_and_sets),
    ),
]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        help="A test part: part1, part2, part3; of GFT: test. Repeatable; none: all.",
        parser=part_of,
        metavar="NAME",
        autocompletion=completing(lambda: PARTS),
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/; none: the stand-in.",
        parser=path_of,
        metavar="DIR",
    ),
]
GivenRoot = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/.",
        parser=path_of,
        metavar="DIR",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="All of it, for programs.")]
Runs = Annotated[
    Path,
    typer.Option(
        envvar="MALBENCH_RUNS",
        help="The store, one folder a trial; none: runs/.",
        parser=path_of,
        metavar="DIR",
        show_default=False,
    ),
]
NamedRuns = Annotated[
    Path | None,
    typer.Option(
        envvar="MALBENCH_RUNS",
        help="A store that is there; none: runs/.",
        parser=path_of,
        metavar="DIR",
        show_default=False,
    ),
]
Cache = Annotated[
    Path,
    typer.Option(
        envvar="MALBENCH_CACHE",
        help="Packed frames and the stand-in; none: .cache/, or the user's cache for an installed package.",
        parser=path_of,
        metavar="DIR",
        show_default=False,
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="paper, standin, smoke, or a .toml file.",
        parser=profile_of,
        metavar="NAME",
        autocompletion=completing(profile_names),
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the profile; repeatable.")
]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", parser=seed_of, metavar="N", help="A seed instead of the profile's; repeatable."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the pages; none: `report` in the store.", parser=path_of, metavar="DIR"),
]
LastReport = Annotated[
    Path,
    typer.Option(
        "--out",
        parser=path_of,
        metavar="DIR",
        help="Folder of the report whose results are read if runs/ has none; none: reports/.",
        show_default=False,
    ),
]
Publish = Annotated[bool, typer.Option("--publish", help="Replace the committed pages in reports/.")]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps; auto takes the first GPU if there is one.")
]
Threads = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="CPU threads of each process; 0 to divide the cores among the processes."),
]
Processes = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        help="That share the trials; 0: one a core, at most eight and what the free memory holds; on a GPU one.",
    ),
]
AllowIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Run on data that fail `data check`; the report says so.")
]
MethodList = Annotated[
    str,
    typer.Option(
        "--methods",
        help="Methods or sets of them, with commas; `malbench methods` lists all.",
        parser=methods_of,
        metavar="NAMES",
        autocompletion=completing_list(methods_and_sets),
    ),
]
PageOnly = Annotated[bool, typer.Option("--page-only", help="Train nothing: the page of what is done.")]
NoPage = Annotated[bool, typer.Option("--no-page", help="Train, and write no page.")]
ResultsFile = Annotated[
    Path | None,
    typer.Option("--results", parser=path_of, metavar="FILE", help="Read this results.parquet instead of the store."),
]

DEFAULT_RUNS = default_runs()
STUDY_RUNS, SPLITS_RUNS, CROSS_RUNS = (DEFAULT_RUNS / name for name in ("study", "splits", "cross"))
DEFAULT_CACHE = default_cache()
DEFAULT_REPORTS = default_reports()


def given_root(data: Path | None) -> Path:
    """The given data root.

    Raises:
        UserError: No data root was given.
    """
    if data is None:
        raise UserError("no data root", remedy=f"name it with --data ROOT or {DATA_VARIABLE}")
    return data
