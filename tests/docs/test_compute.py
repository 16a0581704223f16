"""The hours of docs/compute.md are those of its command on the committed files."""

from __future__ import annotations

from pathlib import Path

from benchmark.api.compute import add_up_compute
from tests.docs.pages import committed, rows_below, text_of

PAGE = "docs/compute.md"
FILES = ("reports/results.parquet", *(f"reports/study/{name}.parquet" for name in ("decisive", "harm", "tuning")))


def test_the_table_is_that_of_the_command(tmp_path: Path) -> None:
    copies = []
    for file in FILES:
        copies.append(tmp_path / file)
        copies[-1].parent.mkdir(parents=True, exist_ok=True)
        copies[-1].write_bytes(committed(file))
    table = add_up_compute(copies)
    made = [[cell.text.removeprefix(f"{tmp_path}/") for cell in row] for row in table.rows]
    assert rows_below(text_of(PAGE), "How much the committed results took") == [list(table.header), *made]
