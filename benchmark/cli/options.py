"""Arguments that several commands share, their defaults, and exit statuses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.config.names import dataset_names
from benchmark.core.errors import UserError
from benchmark.core.places import default_cache, default_reports, default_runs

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


Dataset = Annotated[str, typer.Argument(help=f"A dataset ({', '.join(dataset_names())}), or one of the profile.")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="MALBENCH_DATA",
        help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/; none: the stand-in.",
        parser=path_of,
        metavar="PATH",
    ),
]
GivenRoot = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar="MALBENCH_DATA",
        help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/.",
        parser=path_of,
        metavar="PATH",
    ),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="All of it, for programs.")]
Runs = Annotated[
    Path, typer.Option(envvar="MALBENCH_RUNS", help="The store: one folder a trial.", parser=path_of, metavar="PATH")
]
Cache = Annotated[
    Path, typer.Option(envvar="MALBENCH_CACHE", help="Packed frames and the stand-in.", parser=path_of, metavar="PATH")
]
ProfileName = Annotated[str | None, typer.Option("--profile", help="paper, standin, smoke, or a .toml file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the profile.")
]
Seeds = Annotated[
    list[int] | None, typer.Option(min=0, max=2**63 - 1, help="Instead of the profile's; may be repeated.")
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the pages; none: `report` in the store.", parser=path_of, metavar="PATH"),
]
Publish = Annotated[bool, typer.Option("--publish", help="Replace the committed pages in reports/.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps; auto takes the first GPU if there is one.")]
Threads = Annotated[
    int, typer.Option(min=0, help="CPU threads of each process; 0 to divide the cores among the processes.")
]
Processes = Annotated[
    int,
    typer.Option(
        min=0,
        help="That share the trials; 0: one a core, at most eight and what the free memory holds; on a GPU one.",
    ),
]
AllowIncomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Run on data that fail `data check`; the report says so.")
]
MethodList = Annotated[str, typer.Option("--methods", help="Methods or sets of them, with commas.")]
PageOnly = Annotated[bool, typer.Option("--page-only", help="Train nothing: the page of what is done.")]
NoPage = Annotated[bool, typer.Option("--no-page", help="Train, and write no page.")]

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
        raise UserError("no data root", remedy="name it with --data ROOT or MALBENCH_DATA")
    return data
