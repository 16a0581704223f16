"""Hours of training in stores and files of results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.report.cells import Table
from benchmark.report.compute import Training, compute_table, trainings_in, trainings_of
from benchmark.store.folder import trial_folders
from benchmark.store.record import read_trial
from benchmark.store.results import Results


def add_up_compute(sources: Sequence[Path]) -> Table:
    """Add up the hours of training, each training once.

    Args:
        sources: Stores (folders) and files of results. Of a store all finished trials count, those in no table too.

    Returns:
        A table with one row for each source and device, and one for all.

    Raises:
        UserError: A source is missing, or is damaged.

    Example:
        >>> from pathlib import Path
        >>> add_up_compute([Path("reports/results.parquet")]).header
        ('results', 'device', 'trainings', 'hours')
    """
    missing = [source for source in sources if not source.exists()]
    if missing:
        raise UserError(
            "no such file or folder",
            where=missing[0],
            expected="a store or a results file",
            remedy="name one that exists; none means the committed results",
        )
    return compute_table(
        {
            str(source): _in_store(source) if source.is_dir() else trainings_in(Results.read(source))
            for source in sources
        }
    )


def _in_store(runs: Path) -> Iterator[Training]:
    for folder in trial_folders(runs):
        if folder.is_done:
            trial, made = read_trial(folder)
            yield from trainings_of(trial.key, made)
