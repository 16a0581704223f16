"""The page of all metrics, from finished trials."""

from __future__ import annotations

from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.api.pages import page_folder
from benchmark.api.results import find_results
from benchmark.core.places import default_reports, default_runs
from benchmark.report.metrics import write_metrics


def write_metrics_page(
    runs: Path | None = None,
    out: Path | None = None,
    *,
    results: Path | None = None,
    publish: bool = False,
    listener: Listener = SILENT,
) -> Path:
    """Write `metrics.md`: finished trials under every metric, by person and by group of people.

    Args:
        runs: The store.
        out: Folder of the page; None for `report` in the store. If the store has no finished trial, the results in
            this folder are read, or, for None, the committed ones.
        results: Results file to use instead of the store.
        publish: Write into the committed `reports/`.
        listener: Receives a note that names the source.

    Returns:
        The page.

    Raises:
        UserError: There is no finished trial, a file is damaged, or the folder is `reports/` without `publish`.

    Example:
        >>> from pathlib import Path
        >>> page = write_metrics_page(Path("runs"))  # doctest: +SKIP
    """
    runs = runs or default_runs()
    folder = page_folder(out, runs, publish=publish)
    source, stored = find_results(runs, out or default_reports(), results)
    listener.note(f"from {source}")
    return write_metrics(stored, folder)
