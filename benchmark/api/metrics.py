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
        runs: The store. None for the default one: if it has no finished trial, the results in `out` are read, or, for
            None, the committed ones, and the page says so.
        out: Folder of the page; None for `report` in the store.
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
    folder = page_folder(out, runs or default_runs(), publish=publish)
    found = find_results(runs, out or default_reports(), results)
    if found.notice:
        listener.note(found.notice)
    listener.note(f"from {found.source}")
    return write_metrics(found.results, folder, notice="" if publish else found.notice)
