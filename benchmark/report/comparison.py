"""The paper's table beside ours, and our rows of methods that it lacks."""

from __future__ import annotations

from benchmark.paper.tables import Mark, PaperRow, best_of
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, table
from benchmark.report.groups import Group
from benchmark.report.ours import Ours, OursOfGroup, label_of
from benchmark.stats.verdict import Verdict


def printed_table(group: Group) -> Table:
    """The paper's rows, with the best values marked by the paper's rule."""
    rows = [
        [Cell(f"{row.method} *" if row.reported else row.method), *_paper_cells(group, row)] for row in group.paper.rows
    ]
    return table(["method", *group.paper.columns], rows)


def _paper_cells(group: Group, row: PaperRow) -> list[Cell]:
    return [Cell(number(row.values[c]), group.paper.mark(row, c)) for c in group.paper.columns]


def compared_table(ours: OursOfGroup) -> Table:
    """The paper's value and ours of each multi-task method and of other methods that we ran.

    Difference and verdict follow where our data are a complete copy of the paper's; elsewhere neither means anything.
    """
    group, columns = ours.group, ours.group.paper.columns
    best = {column: best_of({o.label: o.values[column] for o in ours.ranked}) for column in columns}
    rows = []
    for printed in group.paper.rows:
        runs = ours.rows_of(printed)
        # Beside other data the paper's row of a method without runs would stand alone, as in the printed table.
        if not runs and (printed.group != "multitask" or not group.is_judged):
            continue
        rows.append([Cell(f"{printed.method} (paper)"), *_paper_cells(group, printed)])
        if not runs:
            rows += _unrun(group, printed)
        for run in runs:
            values = [Cell(number(run.values[c]), _mark(run, c, best[c]), run.describe(c), run.link) for c in columns]
            rows.append([Cell(run.label, link=run.link), *values])
            rows += _against(group, run) if group.is_judged else []
    rows.append(cells(ours.reference_label, *[number(ours.reference_values[c]) for c in columns]))
    return table(["method", *columns], rows)


def _mark(run: Ours, column: str, best: frozenset[str]) -> Mark | None:
    """Bold for the best of our rows. One training cannot show that a method is best, and 0.0 is nobody's best."""
    is_told = len(run.row.seeds) > 1 and round(run.values[column], 1) > 0
    return "bold" if run.label in best and is_told else None


def _unrun(group: Group, printed: PaperRow) -> list[list[Cell]]:
    blank = [UNRUN] * len(group.paper.columns)
    not_run: Verdict = "not run"
    against = [
        cells(_difference_name(printed.method, group), *blank),
        cells(f"{printed.method} verdict", *[not_run] * len(blank)),
    ]
    return [cells(label_of(printed.method, group), *blank), *(against if group.is_judged else [])]


def _difference_name(name: str, group: Group) -> str:
    return f"{name} difference ({group.origin_label} − paper)"


def _against(group: Group, run: Ours) -> list[list[Cell]]:
    """Lines with difference and verdict of a row against the paper's; "-" where the paper prints no value."""
    differences, verdicts = [], []
    for column in group.paper.columns:
        cell = run.judged.get(column)
        if cell is None:
            differences.append(UNRUN)
            verdicts.append(UNRUN)
            continue
        shown = number(cell.difference, sign=True)
        differences.append(shown)
        verdicts.append(f"differs by {shown}" if cell.verdict == "differs" else cell.verdict)
    # A row under one of several readings of the paper says which.
    under = f" under {run.row.reading}" if run.row.reading else ""
    return [cells(_difference_name(run.name, group), *differences), cells(f"{run.name} verdict{under}", *verdicts)]


def beyond_table(ours: OursOfGroup) -> Table | None:
    """Our rows of methods that the paper's table lacks; None if there are none."""
    return _own_table(ours, [row for row in ours.beyond if not row.row.is_submitted])


def submitted_table(ours: OursOfGroup) -> Table | None:
    """Submitted rows; None if there are none."""
    return _own_table(ours, [row for row in ours.beyond if row.row.is_submitted])


def _own_table(ours: OursOfGroup, rows: list[Ours]) -> Table | None:
    columns = ours.group.paper.columns
    return table(["method", *columns], [row.line(*map(row.shown, columns)) for row in rows]) if rows else None
