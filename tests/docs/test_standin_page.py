"""The committed sheet of the stand-in shows the AUC of the committed trainings of STL."""

from __future__ import annotations

from tests.docs.pages import cells, committed_text, rows_below


def test_the_sheet_and_the_report_show_the_same_auc() -> None:
    report = rows_below(committed_text("reports/tables.md"), "Summary of our runs")  # BP4D comes first
    (stl,) = (row for row in report[1:] if row[0].startswith("STL (ours"))
    auc = float(stl[report[0].index("AUC")])
    rows = [cells(line) for line in committed_text("reports/standin.md").splitlines() if line.startswith("|")]
    head = next(row for row in rows if row[0] == "action unit")  # of the drawn faces, which come first
    mean = next(row for row in rows if row[0] == "mean")
    assert abs(float(mean[head.index("STL")]) - auc) <= 0.0011, "rounded twice"
