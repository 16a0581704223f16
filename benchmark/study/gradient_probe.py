"""The gradient probe: whether a step on a sample lowers the AU validation loss, by kind of sample.

MAL's gradient for ψ (Eq. 7) is, up to a factor and the normalisation, the sum over samples of the derivative of a
sample's weight times that of its loss along v, the gradient of L_val after the virtual step. Normalised weights share
one total, so an update raises a weight where that derivative is above the weighted mean of the batch. If the
derivative is the same for useless and for useful samples, no meta_net can learn to distinguish them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.atomic import write_atomically
from benchmark.data.sampling import BatchOrder
from benchmark.data.trial_data import TrialData
from benchmark.report.cells import UNRUN, Table, cells, number, table
from benchmark.report.figures import (
    BLUE,
    GREY,
    LABEL,
    TICK,
    TITLE,
    VERMILLION,
    WIDTH,
    mark_origin,
    own_style,
    write_figure,
)
from benchmark.report.templating import markdown_template
from benchmark.store.folder import TrialFolder
from benchmark.study.plan import GRADIENT_PROBE_PAGE as PAGE
from benchmark.trials.trainer import RunOptions, train_trial
from methods.base import Batch, Scalars, Stream
from methods.mal import MAL
from methods.meta_gradient import derivative_along, gradients, leaves, sgd_step

AU_SAMPLES = "AU sample"
CLEAR = "clear"
_COLOURS = (BLUE, VERMILLION, "#009E73", "#CC79A7", GREY, "#E69F00")
"""A colour for AU samples, and for each kind of FE image."""


@dataclass(frozen=True)
class Probe:
    """Steps to probe, and the derivatives of their samples.

    Attributes:
        every: Steps between the starts of windows.
        window: Steps of a window.
        kinds: Kind of each FE image.
        order: FE images of each batch.
        seen: Tables with columns `step`, `batch`, `kind`, `derivative`; one row per sample.
    """

    every: int
    window: int
    kinds: npt.NDArray[np.object_]
    order: BatchOrder
    seen: list[pd.DataFrame] = field(default_factory=list)

    def wants(self, step: int) -> bool:
        """Whether the derivatives of this step are asked for: the first `window` of every `every` steps."""
        return step % self.every < self.window

    def keep(self, step: int, derivatives: npt.NDArray[np.float64], n_au: int) -> None:
        """Store the derivatives (N,) of one batch, AU rows first."""
        kinds = [*[AU_SAMPLES] * n_au, *self.kinds[self.order.indices(step)]]
        start = step - step % self.every
        self.seen.append(pd.DataFrame({"step": start, "batch": step, "kind": kinds, "derivative": derivatives}))


def sample_derivatives(method: MAL, batch: Batch) -> npt.NDArray[np.float64]:
    """<∇ loss of a sample, ∇ L_val(θ*)> for each sample of a batch, (N,), AU rows first; the method stays unchanged.

    θ* is the virtual step (Eq. 6) under the method's weights. A positive value means that a step on the sample lowers
    L_val.
    """
    au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
    with torch.random.fork_rng():
        theta = leaves(dict(method.net.named_parameters()))
        psi = {name: p.detach() for name, p in method.meta_net.named_parameters()}
        per_sample = method.per_sample(au, fe)
        losses, seen = per_sample(theta)
        total = (method.weigh(psi, seen.detach(), len(au.images)) * losses).sum()
        theta_star = sgd_step(theta, gradients(total, theta), method.hparams.alpha)
        _, v = method.val_gradient(theta_star, val, method.running_statistics())
        primal = {name: p.detach() for name, p in theta.items()}
        along = {name: v[name] if name in v else torch.zeros_like(p) for name, p in primal.items()}
        _, (derivatives, _) = derivative_along(per_sample, primal, along)
    return np.asarray(derivatives.detach().double().cpu())


def probe_training(
    trial: Trial,
    protocol: Protocol,
    data: TrialData,
    kinds: Sequence[str],
    folder: Path,
    options: RunOptions,
    *,
    every: int,
    window: int,
) -> pd.DataFrame:
    """Train MAL on a trial, and compute the derivative of every sample in windows of steps.

    The training is that of `malbench run`, bit for bit.

    Args:
        trial: A trial of MAL.
        protocol: Protocol of the AU dataset.
        data: The frames.
        kinds: Kind of each FE image.
        folder: Folder for the files of the training.
        options: Device and progress.
        every: Steps between the starts of windows.
        window: Steps of a window.

    Returns:
        Columns `step` (the start of the window), `batch` (the step), `kind`, `derivative`; one row per sample.

    Raises:
        UserError: See `train_trial`.
    """
    order = BatchOrder(np.arange(len(data.fe.faces)), trial.train.batch_fe, trial.seed, Stream.FE)
    probe = Probe(every, window, np.asarray(kinds, dtype=object), order)

    class Probed(MAL):
        """MAL with a probe on its batches."""

        name, is_control = MAL.name, False

        def update(self, batch: Batch, step: int) -> Scalars:
            if probe.wants(step):
                probe.keep(step, sample_derivatives(self, batch), len(batch[Stream.AU].images))
            return super().update(batch, step)

    folder.mkdir(parents=True, exist_ok=True)
    train_trial(trial, Probed, protocol, data, TrialFolder(folder), options)
    return pd.concat(probe.seen, ignore_index=True)


def summarise(seen: pd.DataFrame) -> pd.DataFrame:
    """Mean derivative by window and kind, its standard error, and the standard deviation of samples.

    Samples of one batch share v, so the standard error comes from the means of batches.

    Returns:
        Columns `step`, `kind`, `mean`, `error`, `sd`, `samples`.
    """
    by_batch = seen.groupby(["step", "kind", "batch"])["derivative"].mean()
    grouped = by_batch.groupby(["step", "kind"])
    single = seen.groupby(["step", "kind"])["derivative"]
    summary = pd.DataFrame(
        {
            "mean": grouped.mean(),
            "error": grouped.std(ddof=1) / np.sqrt(grouped.size()),
            "sd": single.std(ddof=1),
            "samples": single.size(),
        }
    )
    return summary.reset_index()


def probe_table(summary: pd.DataFrame) -> Table:
    """Table of mean and standard error by window and kind."""
    kinds = _kinds(summary)
    rows = []
    for step, window_rows in summary.groupby("step"):
        of = {str(row["kind"]): row for row in window_rows.to_dict("records")}
        said = [_said(*(of[kind][name] for name in ("mean", "error", "sd"))) if kind in of else UNRUN for kind in kinds]
        rows.append(cells(f"{int(str(step)):,}", *said))
    return table(["from step", *(kind.replace("_", " ") for kind in kinds)], rows)


def probe_answer(summary: pd.DataFrame) -> str:
    """Sentences on how far the other FE images differ from clear ones; "" if there are none of either.

    Raises:
        ValueError: A window has a kind of FE image and no clear one.
    """
    by_kind = {str(kind): rows.set_index("step") for kind, rows in summary.groupby("kind")}
    clear = by_kind.get(CLEAR)
    others = [kind for kind in by_kind if kind not in (CLEAR, AU_SAMPLES)]
    if clear is None or not others:
        return ""
    sentences, ratios = [], []
    for kind in others:
        rows = by_kind[kind]
        if not rows.index.isin(clear.index).all():
            raise ValueError(f"no clear FE image in a window that has {kind}")
        beside = clear.loc[rows.index]
        difference = rows["mean"] - beside["mean"]
        beyond = difference.abs() > 2 * np.hypot(rows["error"], beside["error"])
        lower, higher = int((beyond & (difference < 0)).sum()), int((beyond & (difference > 0)).sum())
        ratios += list(rows["sd"] / difference.abs())
        sentences.append(
            f"{kind.replace('_', ' ')}: lower than clear in {lower} and higher in {higher} of {len(rows)} windows,"
            " by more than two standard errors"
        )
    told = "; ".join(sentences)
    return (
        f"{told}. Single samples spread {number(float(np.median(ratios)))} times as far as the means differ (median)."
    )


def _said(mean: float, error: float, sd: float) -> str:
    return f"{number(mean, digits=2, sign=True)} ± {number(error, digits=2)} (sd {number(sd, digits=1)})"


@own_style()
def probe_figure(summary: pd.DataFrame, title: str) -> Figure:
    """The table as curves, with bars of one standard error."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=TICK)
    axes.axhline(0, color="black", linewidth=0.5)
    width = float(summary["step"].max()) * 0.004
    kinds = _kinds(summary)
    for i, (kind, colour) in enumerate(zip(kinds, _COLOURS[: len(kinds)], strict=True)):
        of_kind = summary[summary["kind"] == kind]
        axes.errorbar(
            of_kind["step"] + i * width, of_kind["mean"], of_kind["error"],
            color=colour, linewidth=1.1, marker="o", markersize=2.5, label=kind.replace("_", " "),
        )  # fmt: skip
    axes.set_xlabel("iteration", fontsize=LABEL)
    axes.set_ylabel("derivative along ∇L_val(θ*)", fontsize=LABEL)
    axes.set_title(title, fontsize=TITLE, loc="left", parse_math=False)
    axes.legend(frameon=False, fontsize=TICK, ncols=5)
    mark_origin(figure, "stand-in", 0.99)
    return figure


def write_gradient_probe(
    seen: pd.DataFrame, out: Path, *, command: str, machine: str, title: str, window: int, templates: Path | None = None
) -> list[Path]:
    """Write `gradient_probe.md`, `gradient_probe.csv` and `figures/gradient_probe.png` below `out`.

    Args:
        seen: Result of `probe_training`.
        out: Folder, made if missing.
        command: Command line that made it.
        machine: Device and version of torch, in words.
        title: Title of the figure.
        window: Steps of a window.
        templates: Folder with the page's template.
    """
    summary = summarise(seen)
    drawn = write_figure(probe_figure(summary, title), out / "figures" / "gradient_probe", kinds=("png",))
    page, numbers = out / PAGE, out / "gradient_probe.csv"
    summary.to_csv(numbers, index=False, float_format="%.6g", lineterminator="\n")
    text = markdown_template(f"{PAGE}.j2", templates).render(
        command=command,
        machine=machine,
        title=title,
        answer=probe_answer(summary),
        window=window,
        found=probe_table(summary),
    )
    write_atomically(page, text.encode())
    return [page, numbers, *drawn]


def _kinds(summary: pd.DataFrame) -> list[str]:
    return [AU_SAMPLES, *sorted(set(summary["kind"]) - {AU_SAMPLES})]
