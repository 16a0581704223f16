"""What several commands take: arguments, their defaults, and the statuses that commands end with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmark.core.errors import UserError
from benchmark.trials.provenance import PROJECT

CHECK_FAILED = 1
"""Exit status of `data check` where data are incomplete or damaged."""
TRIAL_FAILED = 1
"""Exit status of `run` where a trial failed; the others were run."""

Dataset = Annotated[str, typer.Argument(help="bp4d, disfa or gft")]
Root = Annotated[
    Path | None,
    typer.Option(
        "--data", envvar="MALBENCH_DATA", help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/; none: the stand-in."
    ),
]
GivenRoot = Annotated[
    Path | None, typer.Option("--data", envvar="MALBENCH_DATA", help="Folder that holds BP4D/, DISFA/, GFT/, RAF-DB/.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="All of it, for programs.")]
Runs = Annotated[Path, typer.Option(envvar="MALBENCH_RUNS", help="The store: one folder a trial.")]
Cache = Annotated[Path, typer.Option(envvar="MALBENCH_CACHE", help="Packed frames and the stand-in.")]
ProfileName = Annotated[str | None, typer.Option("--profile", help="paper, standin, smoke, or a .toml file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the profile.")
]

DEFAULT_RUNS = PROJECT / "runs"
DEFAULT_CACHE = PROJECT / ".cache"
DEFAULT_REPORTS = PROJECT / "reports"


def default_profile(data: Path | None) -> str:
    """The profile where none is named."""
    return "standin" if data is None else "paper"


def given_root(data: Path | None) -> Path:
    """The data root.

    Raises:
        UserError: None was given.
    """
    if data is None:
        raise UserError("no data root", remedy="name it with --data ROOT or MALBENCH_DATA")
    return data


def device_of(name: str) -> torch.device:
    """The device of that name, tried; `auto` is the first GPU, and the CPU where there is none.

    Raises:
        UserError: This machine cannot use it.
    """
    # Matrix products on a GPU are the same from run to run only with a workspace of fixed size, set before the first.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"the device '{name}' cannot be used",
            found=str(error).splitlines()[0][:160],
            expected="a device that this machine has",
            remedy="--device auto takes the first GPU, and the CPU where there is none; --device cpu always works",
        ) from error
    return device
