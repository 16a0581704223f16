"""The page of all metrics, from finished trials."""

from __future__ import annotations

from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.api.results import find_results
from benchmark.core.places import default_reports, default_runs
from benchmark.report.metrics import write_metrics


def write_metrics_page(
    runs: Path | None = None, out: Path | None = None, *, results: Path | None = None, listener: Listener = SILENT
) -> Path:
    """Write `metrics.md`: finished trials under every metric, by person and by group of people.

    Args:
        runs: The store.
        out: Folder of the page; its `results.parquet` is read if the store has no finished trial.
        results: Results file to use instead of the store.
        listener: Receives a note that names the source.

    Returns:
        The page.

    Raises:
        UserError: There is no finished trial, or a file is damaged.

    Example:
        >>> from pathlib import Path
        >>> page = write_metrics_page(Path("runs"), Path("reports"))  # doctest: +SKIP
    """
    out = out or default_reports()
    source, stored = find_results(runs or default_runs(), out, results)
    listener.note(f"from {source}")
    return write_metrics(stored, out)
