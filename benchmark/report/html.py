"""Tables in HTML. All text is escaped."""

from __future__ import annotations

from markupsafe import Markup, escape

from benchmark.report.cells import Cell, Table

_MARKS = {None: Markup("{}"), "bold": Markup("<strong>{}</strong>"), "underline": Markup("<u>{}</u>")}

_HEADER = Markup('<a href="#{}">{}</a>')
# A row's header leads to the same place, so the keyboard need not stop at each of its values.
_VALUE = Markup('<a href="#{}" tabindex="-1">{}</a>')


def html_table(table: Table, caption: str) -> Markup:
    """Table with sort buttons in its header, in a box that scrolls by itself.

    Args:
        table: The table.
        caption: Caption of the table, and name of the box.
    """
    head = Markup("").join(
        Markup('<th scope="col"><button type="button">{}</button></th>').format(h) for h in table.header
    )
    rows = Markup("\n").join(Markup("<tr>{}</tr>").format(_row(row)) for row in table.rows)
    return Markup(
        '<div class="scroll{kind}" role="group" tabindex="0" aria-label="{caption}"><table class="sortable">'
        "<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    ).format(kind=" text" if table.words else "", caption=caption, head=head, rows=rows)


def _row(row: tuple[Cell, ...]) -> Markup:
    first, *others = row
    anchor = Markup(' id="{}"').format(first.anchor) if first.anchor else Markup("")
    # A line that goes on with the row above has no name, and an empty header would be read out as one.
    header = Markup('<th scope="row"{}>{}</th>') if first.text else Markup("<td{}>{}</td>")
    cells = [header.format(anchor, _linked(first, _HEADER))]
    cells += [Markup("<td{}>{}</td>").format(_title(cell), _linked(cell, _VALUE)) for cell in others]
    return Markup("").join(cells)


def _linked(cell: Cell, form: Markup) -> Markup:
    return form.format(cell.link, _text(cell)) if cell.link else _text(cell)


def _text(cell: Cell) -> Markup:
    return _MARKS[cell.mark].format(escape(cell.text))


def _title(cell: Cell) -> Markup:
    return Markup(' title="{}"').format(cell.hover) if cell.hover else Markup("")
