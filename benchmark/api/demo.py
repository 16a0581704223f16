"""A demonstration: three methods on one part of a small stand-in, and the page of their results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.api.request import Execution, GridRequest
from benchmark.api.results import read_results, write_report
from benchmark.core.errors import UserError
from benchmark.predict.choose import prediction_command
from benchmark.report.groups import Group, group_results
from benchmark.report.ours import ALL_POSITIVE, row_name
from benchmark.report.readable import readable_results
from benchmark.stats.counts import all_positive, mean_over_parts

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


@dataclass(frozen=True)
class Demonstrated:
    """Outcome of a demonstration.

    Attributes:
        page: The page of the results.
        scores: F1 × 100, the average over AUs, by method; the all-positive detector last.
        remark: Sentence that must stand beside the scores.
        next: Command that predicts by the first trained network.
    """

    page: Path
    scores: tuple[tuple[str, float], ...]
    remark: str
    next: str


def write_demo_page(request: GridRequest) -> Demonstrated:
    """Write the report of the demonstration's trials beside its store.

    Args:
        request: Result of `demo_request`, whose trials are done.

    Raises:
        UserError: A trial is damaged.
    """
    (group,) = group_results(readable_results(read_results(request.runs)))
    scores = tuple((row_name(group, row), 100 * mean_over_parts(row.counts).ave) for row in group.rows)
    every_au = 100 * mean_over_parts(all_positive(group.reference)).ave
    remark = _remark(group, best=max(score for _, score in scores), every_au=every_au)
    out = request.runs.with_name(REPORTS)
    write_report(request.runs, out, cache=request.cache, notice=remark)
    first = next(row for row in group.rows if row.method == METHODS[0])
    command = prediction_command(request.runs, str(first.trials["trial"].iloc[0]))
    return Demonstrated(out / PAGE, (*scores, (ALL_POSITIVE, every_au)), remark, command)


def _remark(group: Group, best: float, every_au: float) -> str:
    """The sentence about scores of so short a training."""
    steps = int(group.results.trials["steps"].max())
    too_few = f"{steps:,} steps are too few to learn: saying yes to everything scores higher. "
    return f"{too_few if best < every_au else ''}The demo shows the machinery, not results."
