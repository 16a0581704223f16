"""Numbers under other rules of selection, for trials and for anybody's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import default_profile
from benchmark.api.results import OtherResults, find_other_results, find_results
from benchmark.config.profile import load_profile
from benchmark.core.places import default_cache, default_reports
from benchmark.report.beside import audit_beside
from benchmark.report.groups import group_results, titles_of
from benchmark.report.ours import row_name
from benchmark.report.predictions import read_predictions
from benchmark.report.readable import readable_results
from benchmark.report.render import render_audit
from benchmark.report.selection import audit_group
from benchmark.report.selection_tables import selection_context
from benchmark.report.submitted_audit import audit_predictions
from benchmark.store.results import Results
from benchmark.trials.prepare import Chosen, read_au, standin_root


def audit_trials(
    runs: Path | str | None = None,
    out: Path | str | None = None,
    results: Path | None = None,
    listener: Listener = SILENT,
) -> str:
    """Audit finished trials.

    Args:
        runs: The store; None for the default one.
        out: Folder of the report, whose results are read if no store is named and the default one has none.
        results: Results file to use instead of both.
        listener: Receives a note if the results are not those of the user's own store.

    Returns:
        The page `audit.md`.

    Raises:
        UserError: There is no finished trial, or a file is damaged.

    Example:
        >>> from benchmark import api
        >>> page = api.audit_trials("runs")  # doctest: +SKIP
    """
    out = default_reports() if out is None else Path(out)
    found = find_results(None if runs is None else Path(runs), out, results)
    if found.notice:
        listener.note(found.notice)
    return _page(found.results, find_other_results(found.source, out), found.notice)


def audit_file(
    file: Path,
    dataset: str,
    *,
    name: str = "",
    threshold: float | None = None,
    profile: str = "",
    overrides: Sequence[str] = (),
    root: Path | None = None,
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> str:
    """Audit predictions of every test frame of one or more parts.

    Args:
        file: CSV or parquet file of predictions, as for `score_predictions_file`. AU validation frames may be there:
            then the column `set` is `test` or `au_val`, and `part` names the part that the row's network was tested on.
        dataset: Name of the AU dataset.
        name: Name of the column in the tables; "" for that of the file.
        threshold: See `score_predictions_file`.
        profile: See `load_data`.
        overrides: Changes to the profile.
        root: The data root; None: the stand-in.
        cache: Folder of packed frames and stand-ins.
        listener: Receives progress.

    Returns:
        The page, as for trials.

    Raises:
        UserError: A wrong name, setting or file.

    Example:
        >>> from pathlib import Path
        >>> from benchmark import api
        >>> page = api.audit_file(Path("mine.csv"), "bp4d")  # doctest: +SKIP
    """
    settings, _ = load_profile(profile or default_profile(root), list(overrides))
    chosen = Chosen.open(dataset, settings)
    # Before the stand-in is drawn, which takes minutes. Its protocol is that of the dataset.
    protocol = chosen.protocol_at(root)
    predictions = read_predictions(file, name or file.stem, protocol, threshold=threshold)
    root = root or standin_root(cache or default_cache(), settings, chosen.all, listener.progress)
    faces = read_au(root, chosen.au, chosen.au.protocol_at(root), settings, listener.progress)
    return _page(audit_predictions(predictions, faces, chosen.protocol_at(root, set(faces.table["subject"]))))


def _page(results: Results, others: OtherResults | None = None, notice: str = "") -> str:
    """The page; metrics, splits and other datasets stand on it for trials, not for a file of predictions."""
    groups = group_results(readable_results(results))
    sections = []
    for group, title in zip(groups, titles_of(groups), strict=True):
        audited = audit_group(group, [row_name(group, row) for row in group.rows])
        sections.append(selection_context(audited, title))
    beside = None if others is None else audit_beside(groups, others.splits, others.cross)
    return render_audit(sections, beside, notice=notice)
