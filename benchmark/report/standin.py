"""The page of the stand-in: sample faces, and how well a linear probe detects each AU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.config.settings import DEFAULT_AU, DEFAULT_FE, RendererName, StandinSettings
from benchmark.core.action_units import NAMES
from benchmark.core.atomic import write_atomically
from benchmark.data.faces import noted_renderer
from benchmark.report.cells import UNRUN, Table, cells, number, table
from benchmark.report.faces import thumbnail
from benchmark.report.figures import TICK, TITLE, WIDTH, mark_origin, own_style, write_figure
from benchmark.report.templating import markdown_template
from benchmark.standin.renderers import RENDERERS, Person
from benchmark.standin.sample import TASKS
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import Pose, Scene
from benchmark.store.results import Results

PAGE = "standin.md"
SHOWN = 128
"""Width and height of a face on the sheet of AUs, in pixels."""
ACROSS = 12


@own_style()
def au_sheet(renderer: RendererName) -> Figure:
    """Figure of two people: neutral, then one AU at a time at full intensity."""
    draw = RENDERERS[renderer].draw_person
    people = [draw(np.random.default_rng([seed])) for seed in (5, 8)]
    tiles: list[tuple[str, int | None]] = [("neutral", None), *((f"AU{au}\n{NAMES[au]}", au) for au in DRAWN_AUS)]
    across = 6
    lines = -(-len(tiles) // across)
    height = 0.35 + 2 * lines * 1.42
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * lines, across, squeeze=False)
    figure.subplots_adjust(left=0.01, right=0.99, top=1 - 0.3 / height, bottom=0.3 / height, wspace=0.05, hspace=0.34)
    for axes in grid.flat:
        axes.set_axis_off()
    for p, who in enumerate(people):
        for i, (said, au) in enumerate(tiles):
            axes = grid[p * lines + i // across, i % across]
            axes.imshow(_alone(renderer, who, au), interpolation="none")
            axes.text(0.5, -0.03, said, transform=axes.transAxes, ha="center", va="top", fontsize=TICK - 1)
    _head(figure, f"Renderer {renderer}: one action unit at a time, at full intensity", height)
    return figure


def _alone(renderer: RendererName, who: Person, au: int | None) -> npt.NDArray[np.uint8]:
    intensity = [1.0 if drawn == au else 0.0 for drawn in DRAWN_AUS]
    return RENDERERS[renderer].render(who, intensity, Pose(), Scene((150.0, 150.0, 145.0)), SHOWN)


@own_style()
def contact_sheet(root: Path, renderer: RendererName) -> Figure:
    """Figure of four AU sequences over time, and of FE images of each kind, from a stand-in at `root`.

    The choice follows a rule: sequences of evenly spaced subjects, and the first images of each kind.
    """
    frames, faces = (pd.read_parquet(root / "truth" / f"{name}.parquet") for name in (DEFAULT_AU, DEFAULT_FE))
    subjects = sorted(set(frames["subject"]))
    rows: list[tuple[str, Sequence[str]]] = []
    for k in range(4):
        subject, task = subjects[k * (len(subjects) - 1) // 3], TASKS[2 * k]
        images = frames[(frames["subject"] == subject) & (frames["task"] == task)].sort_values("frame")
        rows.append((f"{subject}\n{task}", list(images["path"])[:ACROSS]))
    for kind, images in faces.groupby("kind", sort=True):
        rows.append((str(kind).replace("_", "\n"), list(images["path"])[:ACROSS]))
    height = 0.35 + 0.56 * len(rows)
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), ACROSS, squeeze=False)
    figure.subplots_adjust(left=0.08, right=0.995, top=1 - 0.3 / height, bottom=0.01, wspace=0.04, hspace=0.04)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, (said, paths) in zip(grid, rows, strict=True):
        line[0].text(-0.1, 0.5, said, transform=line[0].transAxes, ha="right", va="center", fontsize=TICK - 1)
        for axes, path in zip(line, paths, strict=False):
            axes.imshow(thumbnail(root / path), interpolation="none")
    _head(figure, f"Renderer {renderer}: frames of AU sequences in time; expression images by kind", height)
    return figure


def _head(figure: Figure, title: str, height: float) -> None:
    top = 1 - 0.06 / height
    figure.text(0.01, top, title, fontsize=TITLE, va="top")
    mark_origin(figure, "stand-in", top)


@dataclass(frozen=True)
class Sheet:
    """Content of the page on the stand-in of one renderer.

    Attributes:
        root: Data root of a stand-in of BP4D.
        probed: Result of `pixel_probe` on it.
        settings: Settings of the stand-in.
    """

    root: Path
    probed: pd.DataFrame
    settings: StandinSettings


def write_standin_page(
    sheets: Sequence[Sheet], out: Path, *, templates: Path | None = None, results: Results | None
) -> list[Path]:
    """Write `standin.md` and two figures of each renderer below `out`.

    Args:
        sheets: One sheet a renderer.
        out: Folder of the report.
        templates: Folder with the page's template.
        results: Give the AUC of a network: STL on the stand-in of BP4D; None for no such column.
    """
    drawn: list[Path] = []
    sections = []
    for sheet in sheets:
        renderer = sheet.settings.renderer
        for name, figure in (("aus", au_sheet(renderer)), ("faces", contact_sheet(sheet.root, renderer))):
            drawn += write_figure(figure, out / "figures" / f"standin_{renderer}_{name}", dpi=110, kinds=("png",))
        network = pd.DataFrame(columns=["au", "auc"]) if results is None else _network(results, renderer)
        sections.append(
            {
                "renderer": renderer,
                "probe": _probe_table(sheet.probed, network),
                "settings": sheet.settings.model_dump(exclude={"renderer"}),
                "mean": float(sheet.probed.groupby("part")["auc"].mean().mean()),
                "network": len(network) > 0,
            }
        )
    page = out / PAGE
    write_atomically(page, markdown_template(f"{PAGE}.j2", templates).render(sections=sections).encode())
    return [page, *drawn]


def _network(results: Results, renderer: RendererName) -> pd.DataFrame:
    trials = results.trials
    stl = trials[(trials["paper_row"] == "STL") & (trials["dataset"] == DEFAULT_AU) & (trials["origin"] == "stand-in")]
    plain = stl[(stl["variant"] == "") & (stl["shared_overrides"] == "") & (stl["profile"] == "standin")]
    of_renderer = plain[[noted_renderer(str(note)) == renderer for note in plain["data_note"]]]
    return results.scores[results.scores["trial"].isin(of_renderer["trial"])]


def _probe_table(probed: pd.DataFrame, network: pd.DataFrame) -> Table:
    rows = []
    for au, probes in probed.groupby("au", sort=False):
        theirs = network.loc[network["au"] == au, "auc"]
        learned = number(float(theirs.mean()), digits=3) if len(theirs) else UNRUN
        name = f"{au} {NAMES[int(str(au).removeprefix('AU'))]}"
        rows.append(cells(name, number(float(probes["auc"].mean()), digits=3), learned))
    ends = [number(float(probed["auc"].mean()), digits=3)]
    ends.append(number(float(network["auc"].mean()), digits=3) if len(network) else UNRUN)
    return table(["action unit", "linear probe on pixels", "STL"], [*rows, cells("mean", *ends)])
