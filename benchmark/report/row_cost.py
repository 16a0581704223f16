"""Cost of training: parameters, time and memory of each of our rows."""

from __future__ import annotations

import math

import pandas as pd

from benchmark.report.cells import Cell, Table, number, table
from benchmark.report.ours import Ours, OursOfGroup
from benchmark.report.provenance import read_provenance


def cost_table(ours: OursOfGroup) -> Table:
    """Cost of every row of ours: parameters, time and memory."""
    header = [
        "method",
        "trained parameters",
        "time per step (ms)",
        "× STL",
        "training (s)",
        "stages before (s)",
        "peak memory (MiB)",
        "above the start (MiB)",
    ]
    stl = [_per_step(o) for o in ours.rows if o.row.paper_row == "STL" and not o.row.variant]
    known = [o for o in ours.rows if not o.row.is_submitted]
    return table(header, [_cost_row(o, stl[0] if stl else float("nan")) for o in known])


def _per_step(ours: Ours) -> float:
    """Mean time per step over all trials of a row, in milliseconds."""
    trials = ours.row.trials
    return 1000 * float(trials["time_train_s"].sum(skipna=False)) / max(int(trials["steps"].sum()), 1)


def _cost_row(ours: Ours, stl: float) -> list[Cell]:
    trials = ours.row.trials
    parameters = sorted(set(trials["parameters"]))
    above = trials["peak_memory_mb"] - trials["base_memory_mb"]
    return ours.line(
        " to ".join(f"{count:,}" for count in dict.fromkeys((parameters[0], parameters[-1]))),
        number(_per_step(ours)),
        number(_per_step(ours) / stl),
        number(float(trials["time_train_s"].sum(skipna=False))),
        number(_stages_s(trials)),
        number(float(trials["peak_memory_mb"].max(skipna=False)), digits=0),
        number(float(above.max(skipna=False)), digits=0),
    )


def _stages_s(trials: pd.DataFrame) -> float:
    """Training of the stages that the trials start from, seconds; a stage that several trials share counts once."""
    started = [read_provenance(text).get("prerequisites") for text in trials["provenance"]]
    stages = {stage["key"]: float(stage["time_train_s"]) for named in started for stage in (named or {}).values()}
    return sum(stages.values()) if trials["time_before_s"].notna().all() else math.nan
