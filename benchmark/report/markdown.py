"""GitHub Markdown: escaped text, and pipe tables."""

from __future__ import annotations

import re

import pandas as pd

from benchmark.paper.tables import Mark
from benchmark.report.cells import Cell, Table

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKS: dict[Mark | None, str] = {None: "{}", "bold": "**{}**", "underline": "<u>{}</u>"}


def escape(text: object) -> str:
    """Escape text for a line or a cell: no markup, link, mathematics or line break remains.

    Text at the start of a line could still begin a list or a heading, so templates put a word before it.
    """
    shown = re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", str(text)).strip()
    shown = re.sub(r"[\\`*_~$|]", r"\\\g<0>", shown)
    shown = re.sub(r"\](?=[(\[:])", r"\]", shown)  # links and link definitions; [49.0, 55.3] stays readable
    return re.sub(r"[&<>]", lambda hit: _HTML[hit[0]], shown)


def markdown_table(table: Table) -> str:
    """Pipe table: first column left, the others right; a table of words all left and without padding."""
    frame = pd.DataFrame(
        [[_cell(cell) for cell in row] for row in table.rows], columns=[escape(name) for name in table.header]
    )
    align = ("left", *["left" if table.words else "right"] * (len(table.header) - 1))
    # As strings, since tabulate would read "48.0" as a number and write "48".
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=align)
    return re.sub(r"-{3,}", "--", re.sub(r" {2,}", " ", text)) if table.words else text


def _cell(cell: Cell) -> str:
    return _MARKS[cell.mark].format(escape(cell.text))
