"""Templates of the pages: where they are, and how they escape text."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmark.core.errors import UserError
from benchmark.core.places import PROJECT, is_checkout
from benchmark.report.markdown import escape, markdown_table


def template_folder() -> Path:
    """The folder of the templates: at the top of the checkout, or inside the installed package."""
    return (PROJECT if is_checkout() else PROJECT / "benchmark") / "templates"


def markdown_template(name: str, templates: Path | None = None) -> Template:
    """A Markdown template, with the filters `md` for text from data and `table` for tables.

    Args:
        name: Name of the template's file.
        templates: Folder of the template; None for the suite's.

    Raises:
        UserError: The template is missing.
    """
    made = environment(name, templates or template_folder(), autoescape=False)
    made.filters.update(md=escape, table=markdown_table)
    return made.get_template(name)


def environment(name: str, templates: Path, *, autoescape: bool) -> Environment:
    """Jinja environment of a template; templates that are not HTML escape text with their own filters."""
    if not (templates / name).is_file():
        raise UserError(
            "a template is missing",
            where=templates / name,
            remedy="install the suite anew, or run from a full checkout of it",
        )
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=autoescape,
    )
