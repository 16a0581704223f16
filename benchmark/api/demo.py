"""A demonstration: three methods on one part of a small stand-in, and the page of their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.api.request import Execution, GridRequest
from benchmark.api.results import write_report
from benchmark.core.errors import UserError

METHODS = ("stl", "mtl", "mal")
SETTINGS = (
    "standin.frames_per_sequence=3",
    "standin.fe_train=800",
    "standin.fe_test=10",
    "train.steps=80",
)
"""Changes to the profile `standin`, so that a demonstration ends within a minute on two cores."""
REPORTS = "reports"
PAGE = "index.html"


def demo_request(folder: Path, overrides: Sequence[str] = ()) -> GridRequest:
    """The trials of the demonstration: STL, MTL and MAL, one part, one seed.

    Args:
        folder: A new or empty folder, for the faces, the trials and the page.
        overrides: Further changes to the settings, `KEY=VALUE` each.

    Raises:
        UserError: The folder has files, or is none.

    Example:
        >>> demo_request(Path("a-new-folder")).methods
        ('stl', 'mtl', 'mal')
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            "the demonstration needs a folder of its own",
            where=folder,
            expected="no such folder, or an empty one",
            found="a folder with files" if folder.is_dir() else "a file",
            remedy="name another with --out, or leave --out away",
        )
    return GridRequest(
        "bp4d",
        methods=METHODS,
        parts=("part1",),
        seeds=(0,),
        profile="standin",
        overrides=(*SETTINGS, *overrides),
        runs=folder / "runs",
        cache=folder / "cache",
        execution=Execution("cpu", processes=0),
    )


def write_demo_page(request: GridRequest) -> Path:
    """Write the report of the demonstration's trials beside its store, and return its page."""
    out = request.runs.with_name(REPORTS)
    write_report(request.runs, out, cache=request.cache)
    return out / PAGE
