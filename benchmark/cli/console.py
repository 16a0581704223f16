"""What the command line shows: progress, what a run will take, where trials stand, what a check found."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console, RenderableType
from rich.console import Group as RenderGroup
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from benchmark.config.profile import Profile
from benchmark.data.check import Report
from benchmark.data.faces import FaceSet
from benchmark.data.frames import needed_bytes
from benchmark.launch.slurm import Submission
from benchmark.store.folder import Glance, TrialFolder, glance
from benchmark.trials.preflight import check as check_needs
from benchmark.trials.preflight import existing, needs, size
from benchmark.trials.states import State, detail_of, glanced_state, source_hashes, state_of
from benchmark.trials.trial import Trial
from methods import Registry

MOST_FINDINGS = 60
"""Findings that `data check` prints."""

WORDS = {
    State.DONE: "done already",
    State.STALE: "done already, but by other sources than the present ones: delete its folder to run it again",
    State.AWAITED: "waiting for the process that runs it, because others start from it",
    State.RUNNING: "left to the process that runs it",
    State.TO_DO: "training",
    State.INTERRUPTED: "training, from its checkpoint on",
    State.FAILED: "failed; the next run tries it again",
    State.BLOCKED: "not run: what it starts from failed",
}

LISTED = 40
"""Trials that are not done and that `status` names."""


def standings(runs: Path, present: Mapping[str, str]) -> list[tuple[Glance, State]]:
    """Every trial of a store, and where it stands."""
    return [(seen, glanced_state(seen, present)) for seen in glance(runs)]


def status_page(standing: Sequence[tuple[Glance, State]], *, every: bool) -> RenderableType:
    """The grid, how many trials stand where, and those that are not done."""
    rows: dict[tuple[str, str, str], dict[str, Counter[State]]] = {}
    for seen, state in standing:
        of_part = rows.setdefault((seen.dataset, seen.profile, seen.method), {})
        of_part.setdefault(seen.part, Counter())[state] += 1
    parts = sorted({part for row in rows.values() for part in row})
    grid = Table("dataset", "profile", "method", *parts)
    for names, row in sorted(rows.items()):
        found = [", ".join(f"{n:,} {state}" for state, n in sorted(row.get(part, Counter()).items())) for part in parts]
        grid.add_row(*map(escape, (*names, *found)))
    listed = [each for each in standing if every or each[1] != State.DONE]
    shown: list[RenderableType] = [grid]
    if listed:
        table = Table("dataset", "method", "part", "seed", "key", "state", "detail")
        for seen, state in listed if every else listed[:LISTED]:
            named = (seen.dataset, seen.method, seen.part, str(seen.seed), seen.key, state)
            table.add_row(*map(escape, (*named, detail_of(seen.folder, state))))
        shown.append(table)
    if len(listed) > LISTED and not every:
        shown.append(Text(f"and {len(listed) - LISTED:,} more: --all or --json"))
    numbers = Counter(state for _, state in standing)
    shown.append(Text(", ".join(f"{numbers[state]:,} {state}" for state in State if numbers[state])))
    return RenderGroup(*shown)


class Bars:
    """Progress bars by name; called as (name, done, total)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=total)
        self._progress.update(self._tasks[name], completed=done)
        if done == total:
            self._progress.remove_task(self._tasks.pop(name))


@contextmanager
def progress(console: Console) -> Iterator[Bars]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


def tell_disk(console: Console, faces: Iterable[FaceSet], settings: Profile, cache: Path) -> None:
    """What packing will take, before it begins."""
    size, folder = settings.data.frame_size, cache / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    for each in faces:
        needed = needed_bytes(each, size, folder)
        if needed:
            free = shutil.disk_usage(folder).free
            console.print(
                f"packing {each.dataset}: {len(each):,} frames of {size} px, {needed / 2**30:.2f} GiB in {folder}"
                f" ({free / 2**30:.1f} GiB free)",
                soft_wrap=True,
            )


def tell_needs(
    console: Console,
    trials: list[Trial],
    registry: Registry,
    runs: Path,
    frames: Mapping[str, int],
    device: torch.device | None,
    *,
    each: bool,
) -> None:
    """What the trials that are not done will take, and before that, if asked, where `each` stands.

    Args:
        console: Where it is told.
        trials: All that were chosen.
        registry: Of all methods.
        runs: The store.
        frames: Test frames of each part.
        device: See `preflight.check`.
        each: Whether to list the trials.

    Raises:
        UserError: It cannot fit.
    """
    present = source_hashes(registry)
    states = {trial.key: state_of(TrialFolder(trial.folder(runs)), present) for trial in trials}
    if each:
        for trial in trials:
            console.print(f"{escape(trial.label)} ({trial.key}): {states[trial.key]}", soft_wrap=True)
        numbers = Counter(states.values())
        console.print(f"{len(trials)} trials: {', '.join(f'{numbers[s]} {s}' for s in State if numbers[s])}")
    waiting = [trial for trial in trials if states[trial.key] not in {State.DONE, State.STALE}]
    if waiting:
        needed = needs(waiting, registry, frames)
        free = shutil.disk_usage(existing(runs)).free
        console.print(
            f"{len(waiting)} trials to run: {size(needed.disk)} of disk ({size(free)} free); a step of"
            f" {escape(needed.largest)} holds {size(needed.memory)} at least",
            soft_wrap=True,
        )
        check_needs(needed, runs, device)


def tell_jobs(console: Console, submissions: Iterable[Submission], logs: Path) -> None:
    """What was submitted, and where to look at it."""
    for each in submissions:
        after = f" after {' '.join(each.after)}" if each.after else ""
        words = f"{'submitted' if each.fresh else 'in the queue already'}, job {each.job}{after}"
        told = words if each.job else WORDS[each.state]
        console.print(f"{escape(each.trial.label)} ({each.trial.key}): {told}", soft_wrap=True)
    console.print(
        f"output of the jobs: {logs}\nlook at them with squeue --me, malbench status and malbench report; the same"
        " command again submits what then is neither done nor in the queue",
        soft_wrap=True,
    )


def show_check(console: Console, outcome: Report, faces: tuple[FaceSet, ...]) -> None:
    for each in faces:
        console.print(escape(each.note), soft_wrap=True)
    table = Table("", "found", "known of a full copy")
    for line in outcome.lines:
        table.add_row(*(escape(text) for text in (line.name, line.found, line.known)))
    console.print(table)
    for finding in outcome.findings[:MOST_FINDINGS]:
        facts = [("where", finding.where), ("expected", finding.expected), ("found", finding.found)]
        told = "".join(f"\n    {name}: {text}" for name, text in [*facts, ("remedy", finding.remedy)] if text)
        console.print(escape(f"{finding.severity}: {finding.what}{told}"), soft_wrap=True)
    more = len(outcome.findings) - MOST_FINDINGS
    if more > 0:
        console.print(f"and {more} more; --json lists all")
    remarks = len(outcome.findings) - len(outcome.faults)
    verdict = f"{len(outcome.faults)} faults" if outcome.faults else "passed: nothing is missing or damaged"
    console.print(verdict + (f", {remarks} remarks" if remarks else ""))
