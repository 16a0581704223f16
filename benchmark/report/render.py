"""From results to files: Markdown tables, figures, and the results themselves."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmark.errors import UserError
from benchmark.report.figures import training_curves, write_figure
from benchmark.report.markdown import escape, markdown_table
from benchmark.report.tables import ReportContext, build_context
from benchmark.results import Results

TABLES = "tables.md"


def build_report(results: Results, out: Path, *, templates: Path) -> list[Path]:
    """Write `tables.md`, `figures/` and `results.parquet` below `out`; the same bytes for the same results.

    Args:
        results: Finished trials, in any order.
        out: Folder, made if missing.
        templates: Folder with `tables.md.j2`.

    Returns:
        The files written.

    Raises:
        UserError: The results hold no trial or do not fit together, or the template is missing.
    """
    context = build_context(results)
    text = render_markdown(context, templates)
    out.mkdir(parents=True, exist_ok=True)
    tables = out / TABLES
    tables.write_text(text, encoding="utf-8", newline="\n")
    figures = [
        file
        for section in context.groups
        for file in write_figure(training_curves(section.group), out / "figures" / section.figure)
    ]
    stored = out / "results.parquet"
    results.write(stored)
    return [tables, *figures, stored]


def render_markdown(context: ReportContext, templates: Path) -> str:
    """The text of `tables.md`.

    Raises:
        UserError: The template is missing.
    """
    return markdown_template(f"{TABLES}.j2", templates).render(report=context)


def markdown_template(name: str, templates: Path) -> Template:
    """A template for Markdown, with the filters `md` for text from data and `table` for tables.

    Raises:
        UserError: It is missing.
    """
    if not (templates / name).is_file():
        raise UserError("a template is missing", where=templates / name, remedy="run from a full checkout of the suite")
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML: text from data passes `md`, tables pass `table`
    )
    environment.filters.update(md=escape, table=markdown_table)
    return environment.get_template(name)
