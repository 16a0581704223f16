"""Files of the report: tables in Markdown, LaTeX and HTML, figures, and the results."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.core.atomic import write_atomically
from benchmark.report import latex
from benchmark.report.beside import Beside, audit_beside
from benchmark.report.dots import dot_plot
from benchmark.report.faces import WeighedFaces, ascending_weights, low_and_high_weights
from benchmark.report.figures import training_curves, write_figure
from benchmark.report.html import html_table
from benchmark.report.readable import readable_results
from benchmark.report.selection_tables import NOTHING, SelectionContext
from benchmark.report.tables import ReportContext, build_context
from benchmark.report.templating import environment, markdown_template, template_folder
from benchmark.report.weighed import WEIGHTS, weights_file
from benchmark.store.results import Results
from benchmark.store.scratch import publish, scratch_folder

TABLES = "tables.md"
LATEX = "tables.tex"
PAGE = "index.html"
AUDIT = "audit.md"
RESULTS, FIGURES = "results.parquet", "figures"
FIGURE5, FIGURE6 = "figure5", "figure6"
OWN_FIGURES = ("figure[0-9]*", "curves*", "answer-*")
"""Patterns of the report's own files among the figures."""


def build_report(
    results: Results,
    out: Path,
    *,
    templates: Path | None = None,
    faces: WeighedFaces | None = None,
    splits: Sequence[Results] = (),
    cross: Results | None = None,
    notice: str = "",
) -> list[Path]:
    """Write `tables.md`, `audit.md`, `tables.tex`, `index.html`, `figures/` and `results.parquet` below `out`.

    Where Figures 5 and 6 show drawn faces, `weights.parquet` has what they are drawn from. The same results give the
    same bytes. A write that fails leaves the last report as it was: files are made in a scratch folder, and get their
    places when all are there.

    Args:
        results: Finished trials, in any order.
        out: Folder, made if missing.
        templates: Folder with a template for each format; None for the suite's.
        faces: Images and weights of Figures 5 and 6; None for a report that names the command that draws them.
        splits: Results of `malbench splits`, for the audit.
        cross: Results of `malbench cross`, for the audit.
        notice: Sentences at the top of the pages; "" for none.

    Returns:
        The files written.

    Raises:
        UserError: The results hold no trial or do not fit together, or a template is missing.
    """
    templates = templates or template_folder()
    context = build_context(readable_results(results), notice)
    beside = audit_beside([section.group for section in context.groups], splits, cross)
    audit = render_audit([section.selection for section in context.groups], beside, templates, notice=notice)
    out.mkdir(parents=True, exist_ok=True)
    with scratch_folder(out, "report") as scratch:
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(results.write, scratch / RESULTS)  # compresses on another core while Python draws
            drawn = _write_figures(context, faces, scratch / FIGURES)
            written.result()
        texts = {
            TABLES: render_markdown(context, templates, drawn, faces),
            LATEX: render_latex(context, beside, templates, drawn),
            AUDIT: audit,
            PAGE: render_html(context, beside, templates, drawn, faces),
        }
        contents = {name: text.encode() for name, text in texts.items()}
        if faces is not None and faces.origin == "stand-in":  # of licensed images, no file has their names and labels
            contents[WEIGHTS] = weights_file(faces)
        for name, content in contents.items():
            write_atomically(scratch / name, content)
        images = [file.relative_to(scratch).as_posix() for files in drawn.values() for file in files]
        # The results last: whoever finds them finds the tables made of them.
        publish(scratch, out, [*images, *contents, RESULTS])
    _remove_old_figures(out / FIGURES, {out / name for name in images})
    if WEIGHTS not in contents:
        (out / WEIGHTS).unlink(missing_ok=True)
    return [out / name for name in (*contents, *images, RESULTS)]


def _remove_old_figures(folder: Path, kept: set[Path]) -> None:
    """Delete the figures of an earlier report that this one does not have; those of other commands stay."""
    for pattern in OWN_FIGURES:
        for file in folder.glob(pattern):
            if file.is_file() and file not in kept:
                file.unlink()


def _write_figures(context: ReportContext, faces: WeighedFaces | None, out: Path) -> dict[str, list[Path]]:
    """Write the figures that hold something; return their files by name."""
    drawn: dict[str, list[Path]] = {}
    for section in context.groups:
        for name, figure in ((section.dots, dot_plot(section.ours)), (section.figure, training_curves(section.group))):
            if figure is not None:
                drawn[name] = write_figure(figure, out / name)
    if faces is not None:
        for name, draw in ((FIGURE5, ascending_weights), (FIGURE6, low_and_high_weights)):
            drawn[name] = write_figure(draw(faces), out / name, dpi=110)
    return drawn


def render_html(
    context: ReportContext,
    beside: Beside,
    templates: Path,
    figures: Mapping[str, Sequence[Path]],
    faces: WeighedFaces | None = None,
) -> str:
    """Text of `index.html`, which needs no other file and no network.

    Args:
        context: Content of the report.
        beside: Metrics, splits and other datasets.
        templates: Folder with `index.html.j2`.
        figures: Files of each figure that was drawn, one of them an SVG, by name.
        faces: Images and weights of Figures 5 and 6.
    """
    made = environment(f"{PAGE}.j2", templates, autoescape=True)
    made.filters["table"] = html_table
    made.globals["nothing"] = NOTHING
    images = {
        name: f"data:image/svg+xml;base64,{b64encode(file.read_bytes()).decode()}"
        for name, files in figures.items()
        for file in files
        if file.suffix == ".svg"
    }
    return made.get_template(f"{PAGE}.j2").render(report=context, beside=beside, images=images, faces=faces)


def render_latex(context: ReportContext, beside: Beside, templates: Path, figures: Collection[str]) -> str:
    """Text of `tables.tex`, with these figures of the folder `figures/`."""
    made = environment(f"{LATEX}.j2", templates, autoescape=False)
    made.filters.update(tex=latex.escape, table=latex.latex_table)
    made.globals["nothing"] = NOTHING
    return made.get_template(f"{LATEX}.j2").render(report=context, beside=beside, figures=figures)


def render_markdown(
    context: ReportContext, templates: Path, figures: Collection[str], faces: WeighedFaces | None = None
) -> str:
    """Text of `tables.md`, with these figures of the folder `figures/`.

    Raises:
        UserError: The template is missing.
    """
    template = markdown_template(f"{TABLES}.j2", templates)
    return template.render(report=context, figures=figures, faces=faces, nothing=NOTHING)


def render_audit(
    sections: Sequence[SelectionContext],
    beside: Beside | None = None,
    templates: Path | None = None,
    *,
    notice: str = "",
) -> str:
    """Text of `audit.md`.

    Args:
        sections: The audit of each group.
        beside: Metrics, splits and other datasets; None for none.
        templates: Folder of the template; None for the suite's.
        notice: Sentences at the top of the page; "" for none.

    Raises:
        UserError: The template is missing.
    """
    return markdown_template(f"{AUDIT}.j2", templates).render(
        sections=sections, beside=beside or Beside(), nothing=NOTHING, notice=notice
    )
