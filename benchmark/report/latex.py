"""Tables in LaTeX with booktabs. All text is escaped."""

from __future__ import annotations

import re
import unicodedata

from benchmark.paper.tables import Mark
from benchmark.report.cells import Cell, Table

_SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "–": "--",
    "≤": r"$\leq$",
    "Δ": r"$\Delta$",
    "§": r"\S{}",
}
_MARKS: dict[Mark | None, str] = {None: "{}", "bold": r"\textbf{{{}}}", "underline": r"\underline{{{}}}"}


def escape(text: object) -> str:
    """Escape text for LaTeX; a character that its fonts lack becomes its ASCII form or a question mark."""
    flat = re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", str(text)).strip()
    return "".join(_SPECIAL.get(c, c if c.isascii() else _plain(c)) for c in flat)


def _plain(character: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(_SPECIAL.get(c, c) for c in ascii_text) or "?"


def latex_table(table: Table) -> str:
    """Tabular of at most the page width: first column left, the others right; all left in a table of words."""
    lines = [" & ".join(escape(name) for name in table.header), *(" & ".join(map(_cell, row)) for row in table.rows)]
    head, *body = [f"{line} \\\\" for line in lines]
    columns = "l" + ("l" if table.words else "r") * (len(table.header) - 1)
    return "\n".join(
        [
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}}",
        ]
    )


def _cell(cell: Cell) -> str:
    return _MARKS[cell.mark].format(escape(cell.text))
