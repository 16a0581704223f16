"""Files of the report: tables in Markdown, LaTeX and HTML, figures, and the results."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.places import PROJECT, is_checkout
from benchmark.report import latex
from benchmark.report.faces import WeighedFaces, ascending_weights, low_and_high_weights
from benchmark.report.figures import training_curves, write_figure
from benchmark.report.html import html_table
from benchmark.report.markdown import escape, markdown_table
from benchmark.report.readable import readable_results
from benchmark.report.selection_tables import NOTHING, SelectionContext
from benchmark.report.tables import ReportContext, build_context
from benchmark.store.results import Results
from benchmark.store.scratch import publish, scratch_folder

TABLES = "tables.md"
LATEX = "tables.tex"
PAGE = "index.html"
AUDIT = "audit.md"
RESULTS, FIGURES = "results.parquet", "figures"
FIGURE5, FIGURE6 = "figure5", "figure6"
OWN_FIGURES = ("figure[0-9]*", "curves*")
"""Patterns of the report's own files among the figures."""


def template_folder() -> Path:
    """The folder of the templates: at the top of the checkout, or inside the installed package."""
    return (PROJECT if is_checkout() else PROJECT / "benchmark") / "templates"


def build_report(
    results: Results, out: Path, *, templates: Path | None = None, faces: WeighedFaces | None = None
) -> list[Path]:
    """Write `tables.md`, `audit.md`, `tables.tex`, `index.html`, `figures/` and `results.parquet` below `out`.

    The same results give the same bytes. A write that fails leaves the last report as it was: files are made in a
    scratch folder, and get their places when all are there.

    Args:
        results: Finished trials, in any order.
        out: Folder, made if missing.
        templates: Folder with a template for each format; None for the suite's.
        faces: Images and weights of Figures 5 and 6; None for a report that names the command that draws them.

    Returns:
        The files written.

    Raises:
        UserError: The results hold no trial or do not fit together, or a template is missing.
    """
    templates = templates or template_folder()
    context = build_context(readable_results(results))
    texts = {
        TABLES: render_markdown(context, templates, faces),
        LATEX: render_latex(context, templates),
        AUDIT: render_audit([section.selection for section in context.groups], templates),
    }
    out.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out, "report") as scratch:
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(results.write, scratch / RESULTS)  # compresses on another core while Python draws
            figures, drawn = _write_figures(context, faces, scratch / FIGURES)
            written.result()
        texts[PAGE] = render_html(context, templates, drawn, faces)
        for name, text in texts.items():
            write_atomically(scratch / name, text.encode())
        images = [file.relative_to(scratch).as_posix() for files in figures for file in files]
        # The results last: whoever finds them finds the tables made of them.
        publish(scratch, out, [*images, *texts, RESULTS])
    _remove_old_figures(out / FIGURES, {out / name for name in images})
    return [out / name for name in (*texts, *images, RESULTS)]


def _remove_old_figures(folder: Path, kept: set[Path]) -> None:
    """Delete the figures of an earlier report that this one does not have; those of other commands stay."""
    for pattern in OWN_FIGURES:
        for file in folder.glob(pattern):
            if file.is_file() and file not in kept:
                file.unlink()


def _write_figures(
    context: ReportContext, faces: WeighedFaces | None, out: Path
) -> tuple[list[list[Path]], dict[str, Path]]:
    """Write the figures; return their files, and the SVG files of the page by name."""
    figures = [write_figure(training_curves(s.group), out / s.figure) for s in context.groups]
    names = [s.figure for s in context.groups]
    if faces is not None:
        for name, draw in ((FIGURE5, ascending_weights), (FIGURE6, low_and_high_weights)):
            figures.append(write_figure(draw(faces), out / name, dpi=110))
            names.append(name)
    shown = [next(f for f in files if f.suffix == ".svg") for files in figures]
    return figures, dict(zip(names, shown, strict=True))


def render_html(
    context: ReportContext, templates: Path, figures: Mapping[str, Path], faces: WeighedFaces | None = None
) -> str:
    """Text of `index.html`, which needs no other file and no network.

    Args:
        context: Content of the report.
        templates: Folder with `index.html.j2`.
        figures: SVG files by name: the figure of each section, and Figures 5 and 6 if there are `faces`.
        faces: Images and weights of Figures 5 and 6.
    """
    environment = _environment(f"{PAGE}.j2", templates, autoescape=True)
    environment.filters["table"] = html_table
    environment.globals["nothing"] = NOTHING
    images = {
        name: f"data:image/svg+xml;base64,{b64encode(file.read_bytes()).decode()}" for name, file in figures.items()
    }
    return environment.get_template(f"{PAGE}.j2").render(report=context, images=images, faces=faces)


def render_latex(context: ReportContext, templates: Path) -> str:
    """Text of `tables.tex`."""
    environment = _environment(f"{LATEX}.j2", templates, autoescape=False)
    environment.filters.update(tex=latex.escape, table=latex.latex_table)
    environment.globals["nothing"] = NOTHING
    return environment.get_template(f"{LATEX}.j2").render(report=context)


def render_markdown(context: ReportContext, templates: Path, faces: WeighedFaces | None = None) -> str:
    """Text of `tables.md`.

    Raises:
        UserError: The template is missing.
    """
    return markdown_template(f"{TABLES}.j2", templates).render(report=context, faces=faces, nothing=NOTHING)


def render_audit(sections: Sequence[SelectionContext], templates: Path | None = None) -> str:
    """Text of `audit.md`.

    Args:
        sections: The audit of each group.
        templates: Folder of the template; None for the suite's.

    Raises:
        UserError: The template is missing.
    """
    return markdown_template(f"{AUDIT}.j2", templates).render(sections=sections, nothing=NOTHING)


def markdown_template(name: str, templates: Path | None = None) -> Template:
    """A Markdown template, with the filters `md` for text from data and `table` for tables.

    Args:
        name: Name of the template's file.
        templates: Folder of the template; None for the suite's.

    Raises:
        UserError: The template is missing.
    """
    environment = _environment(name, templates or template_folder(), autoescape=False)
    environment.filters.update(md=escape, table=markdown_table)
    return environment.get_template(name)


def _environment(name: str, templates: Path, *, autoescape: bool) -> Environment:
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
