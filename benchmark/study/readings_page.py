"""The page of the readings' probe, from its measurements alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.report.cells import Cell, Table, cells, number, table
from benchmark.report.templating import markdown_template
from benchmark.study.readings import (
    INERT,
    LOOKS,
    MOST_HELD_FRAMES,
    WEIGHED_IMAGES,
    Range,
    ReadingsResult,
    Setting,
    Summary,
)

PAGE, MEASURED = "readings.md", "readings.json"
"""File names of the page and of the measurements."""


def write_readings(probe: ReadingsResult, out: Path, *, templates: Path | None = None) -> list[Path]:
    """Write `readings.md` and `readings.json` below `out`. The same measurements give the same bytes.

    Args:
        probe: The measurements.
        out: Folder, made if missing.
        templates: Folder with the page's template; None for the suite's.

    Returns:
        The files written.

    Raises:
        UserError: The template is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    page, measured = out / PAGE, out / MEASURED
    page.write_text(render_readings(probe, templates), encoding="utf-8", newline="\n")
    measured.write_text(probe.model_dump_json(indent=1) + "\n", encoding="utf-8", newline="\n")
    return [page, measured]


def render_readings(probe: ReadingsResult, templates: Path | None = None) -> str:
    """Text of `readings.md`.

    Raises:
        UserError: The template is missing.
    """
    return markdown_template(f"{PAGE}.j2", templates).render(
        setting=probe.setting,
        people=_people(probe.setting),
        readings=_readings_table(probe),
        measured=_measured_table(probe),
        verdicts=verdicts(probe),
        primary=probe.primary(),
        inert=INERT,
        weighed=WEIGHED_IMAGES,
        looks=LOOKS,
        held=MOST_HELD_FRAMES,
    )


def verdicts(probe: ReadingsResult) -> list[str]:
    """One sentence per reading: whether its weights are inert, under both kinds of batch normalisation."""
    of_reading: dict[str, list[Summary]] = {}
    for summary in probe.summaries():
        of_reading.setdefault(summary.reading.name, []).append(summary)
    return [
        f"{name}: " + "; ".join(f"with {made.val_batch_norm} statistics {_verdict(made)}" for made in summaries)
        for name, summaries in of_reading.items()
    ]


def _verdict(summary: Summary) -> str:
    if summary.diverged:
        return f"it diverged in {summary.diverged} of {len(summary.rows)} trainings"
    if summary.is_inert:
        return "it is inert"
    return "its weights move" if summary.moves_wandering else "its weights move if ψ keeps its direction"


def _people(setting: Setting) -> str:
    """Sentence on the people and frames of the trainings."""
    start = (
        f" Trials start from a network trained on {setting.start}; these trainings start from the weights before that."
        if setting.start
        else ""
    )
    return (
        f"Of {_numbers([a + b for a, b in zip(setting.learning, setting.held_out, strict=True)])} training people a"
        f" fifth, {_numbers(setting.held_out)}, is held out, drawn from the seed. Of the frames of the others a reserve"
        f" of K = {_numbers(setting.reserve)} is kept for validation, as in a trial, which reserves"
        f" {_numbers(setting.trial_reserve)} frames of all training people. The gradient on held-out people is that on"
        f" {_numbers(setting.held_frames)} frames.{start}"
    )


def _readings_table(probe: ReadingsResult) -> Table:
    rows = [cells(reading.name, reading.settings, reading.reason) for reading in probe.readings]
    return table(["reading", "settings", "reason"], rows, words=True)


def _measured_table(probe: ReadingsResult) -> Table:
    header = ["reading", "batch norm", "|∇ψ|", "AU weights", "FE weights", "relative", "if ψ wanders", "step", "cosine"]
    return table(header, [_line(summary) for summary in probe.summaries()])


def _line(summary: Summary) -> list[Cell]:
    ends = [_range(summary.mean_range(name)) for name in ("au", "fe", "relative", "wandering")]
    return cells(
        summary.reading.name,
        summary.val_batch_norm,
        _small(summary.mean("meta_gradient")),
        *ends,
        _with_seeds(summary, "step_ratio"),
        _with_seeds(summary, "cosine"),
    )


def _range(ends: Range) -> str:
    return f"{number(ends.low, digits=3)} to {number(ends.high, digits=3)}"


def _with_seeds(summary: Summary, name: str) -> str:
    """Mean over the seeds, with the least and the most of them."""
    values = [getattr(row, name) for row in summary.rows]
    mean, low, high = (number(value, digits=2) for value in (summary.mean(name), min(values), max(values)))
    return f"{mean} [{low}, {high}]"


def _small(value: float) -> str:
    """A positive number with two significant digits, as a power of ten where it is small."""
    return f"{value:.2g}"


def _numbers(values: Sequence[int]) -> str:
    """A number, or the least and the most of several."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
