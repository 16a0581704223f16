"""Output of the command line: progress, needs of a run, states of trials, findings of a check."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.console import Group as RenderGroup
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from benchmark.api.listener import Listener
from benchmark.core.errors import UserError
from benchmark.core.words import counted
from benchmark.store.summary import Contents, TrialSummary, summaries
from benchmark.trials.ownership import duration
from benchmark.trials.states import State, detail_of, summary_state

if TYPE_CHECKING:
    from benchmark.api.doctor import Diagnosis
    from benchmark.api.grid import Grid
    from benchmark.data.faces import FaceSet
    from benchmark.data.findings import Report
    from benchmark.data.lists import Comparison
    from benchmark.launch.slurm import Submission
    from benchmark.launch.watch import View

MOST_FINDINGS = 60
"""Largest number of findings that `data check` prints."""

WORDS = {
    State.DONE: "skipped: done before",
    State.STALE: "skipped: done before by other sources; `malbench verify`, or delete its folder to run it again",
    State.UNSEALED: "skipped: done before, unsealed; delete its folder to run it again",
    State.DAMAGED: "damaged: a file has changed since it was done",
    State.AWAITED: "waiting for the process that runs it, because other trials start from it",
    State.RUNNING: "left to the process that runs it",
    State.TO_DO: "training",
    State.INTERRUPTED: "training, from its checkpoint on",
    State.FAILED: "failed; the next run tries it again",
    State.BLOCKED: "not run: a trial that it starts from failed",
    State.HELD: "not begun: another trial failed",
}

LINE_S = 20.0
"""Seconds between two lines of one work, where the output is no terminal."""

LISTED = 40
"""Largest number of trials that `status` lists unless all are wanted."""
TRIAL_COLUMNS = ("dataset", "method", "part", "seed", "key", "state", "detail")
"""Columns of the list of trials."""


def standings(
    runs: Path, present: Mapping[str, str], contents: Contents | None = None
) -> list[tuple[TrialSummary, State]]:
    """Trials of a store with their states; without `contents`, from their three small files alone."""
    return [(seen, summary_state(seen, present)) for seen in summaries(runs, contents)]


def detail(seen: TrialSummary, state: State) -> str:
    """Details of a trial for a list: its damage, why it failed, or how far it is; "" for none."""
    return seen.fault or detail_of(seen.folder, state)


def status_page(standing: Sequence[tuple[TrialSummary, State]], *, every: bool) -> RenderableType:
    """Page of `status`: the grid, the trials, those that are not done first, and the number in each state."""
    rows: dict[tuple[str, str, str], dict[str, Counter[State]]] = {}
    for seen, state in standing:
        of_part = rows.setdefault((seen.dataset, seen.profile, seen.method), {})
        of_part.setdefault(seen.part, Counter())[state] += 1
    parts = sorted({part for row in rows.values() for part in row})
    grid = Table("dataset", "profile", "method", *parts)
    for names, row in sorted(rows.items()):
        counts = [
            ", ".join(f"{n:,} {state}" for state, n in sorted(row.get(part, Counter()).items())) for part in parts
        ]
        grid.add_row(*map(escape, (*names, *counts)))
    listed = sorted(standing, key=lambda trial: trial[1] == State.DONE)  # what is not done first
    shown: list[RenderableType] = [grid]
    if listed:
        table = Table(*(Column(name, no_wrap=name == "key") for name in TRIAL_COLUMNS))
        for seen, state in listed if every else listed[:LISTED]:
            named = (seen.dataset, seen.method, seen.part, str(seen.seed), seen.key, state)
            table.add_row(*map(escape, (*named, detail(seen, state))))
        shown.append(table)
    if len(listed) > LISTED and not every:
        shown.append(Text(f"and {len(listed) - LISTED:,} more: --all or --json"))
    numbers = Counter(state for _, state in standing)
    by_state = ", ".join(f"{numbers[state]:,} {state}" for state in State if numbers[state])
    shown.append(Text(f"{counted(len(standing), 'trial')}: {by_state}"))
    return RenderGroup(*shown)


class Eta(TimeRemainingColumn):
    """Time left: the estimate of the task's field `eta`, or the one of its own pace if it has no such field."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn.render`."""
        given = task.fields.get("eta")
        return Text("ETA ").append_text(super().render(task)) if given is None else Text(given)


class Bars:
    """Progress bars by name, updated by calls with (name, items done, items)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}
        self._shared: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of the work `name` are done; its bar goes when all are."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(escape(name), total=total)
        self._progress.update(self._tasks[name], completed=done)
        if done == total:
            self._progress.remove_task(self._tasks.pop(name))

    def show(self, view: View) -> None:
        """Show one bar for all trials that several processes share, with the time left, and one for each that runs."""
        now = {f"process {r.process}: {r.trial.label}": (r.record.done, r.record.steps, "") for r in view.running}
        if view.ended < view.total:
            now["all trials"] = (view.ended, view.total, left_text(view))
        for name in [name for name in self._shared if name not in now]:
            self._progress.remove_task(self._shared.pop(name))
        for name, (done, total, eta) in sorted(now.items()):
            if name not in self._shared:
                self._shared[name] = self._progress.add_task(escape(name), total=None, eta=eta)
            self._progress.update(self._shared[name], completed=done, total=total or None, eta=eta)


def left_text(view: View) -> str:
    """Estimated time until all trials have ended, in words."""
    return "ETA unknown" if view.left_s is None else f"ETA {duration(view.left_s)}"


def tell_news(console: Console, view: View) -> None:
    """Print a line for each trial that has ended since the last view."""
    for number, news in enumerate(view.news, view.ended - len(view.news) + 1):
        what = "failed" if news.failed else "done"
        by = "" if news.process is None else f" by process {news.process}"
        after = "" if news.seconds is None else f" in {duration(news.seconds)}"
        left = f", {left_text(view)}" if number < view.total else ""
        console.print(
            f"{escape(news.trial.label)} ({news.trial.key}): {what}{by}{after}; {number} of {view.total}{left}",
            soft_wrap=True,
        )


class Lines:
    """Progress as plain lines, for an output that is no terminal: where a work begins, and every few seconds.

    Args:
        console: Output.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._told: dict[str, float] = {}
        self._ended: set[str] = set()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Print how far the work `name` is, unless a line was printed a moment ago."""
        now, ended = self._clock(), done == total
        begun = name not in self._told
        if begun and ended and name in self._ended:
            return  # its end is told already
        if begun or ended or now - self._told[name] >= LINE_S:
            self._console.print(f"{escape(name)}: {done:,} of {total:,}", soft_wrap=True, highlight=False)
            self._told[name] = now
        if ended:
            del self._told[name]
            self._ended.add(name)

    def show(self, view: View) -> None:
        """Print now and then how far the trials that several processes share are."""
        now = self._clock()
        if view.ended < view.total and now - self._told.setdefault("", now) >= LINE_S:
            self._told[""] = now
            each = [f"{escape(r.trial.label)}, {_steps(r.record.done, r.record.steps)}" for r in view.running]
            self._console.print(
                "; ".join([f"all trials: {view.ended:,} of {view.total:,}, {left_text(view)}", *each]),
                soft_wrap=True,
                highlight=False,
            )


def _steps(done: int, steps: int) -> str:
    """Progress of one trial in words; it has no number of steps before it trains."""
    return f"step {done:,} of {steps:,}" if steps else "preparing"


@contextmanager
def progress_bars(console: Console) -> Iterator[Bars | Lines]:
    """Show progress while the block runs: as bars on a terminal, else as lines."""
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        Eta(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)


@contextmanager
def listening(console: Console) -> Iterator[Listener]:
    """Listener that shows progress, and prints notes, each once, and states of trials."""
    said: set[str] = set()
    with progress_bars(console) as bars:

        def note(sentence: str) -> None:
            if sentence not in said:  # grids of one command have much in common
                said.add(sentence)
                console.print(escape(sentence), soft_wrap=True)

        def on_view(view: View) -> None:
            tell_news(console, view)
            bars.show(view)

        yield Listener(
            note=note,
            progress=bars,
            on_trial=lambda trial, state: console.print(
                f"{escape(trial.label)} ({trial.key}): {WORDS[state]}", soft_wrap=True
            ),
            on_view=on_view,
        )


def tell_needs(console: Console, grid: Grid, *, list_trials: bool) -> None:
    """Print the disk and memory that the waiting trials need, after a list of all trials if `list_trials`.

    Args:
        console: Output.
        grid: The selected trials.
        list_trials: Whether to list the trials with their states.

    Raises:
        UserError: The trials cannot fit.
    """
    from benchmark.trials.preflight import size  # imports torch

    if list_trials:
        for trial in grid.trials:
            console.print(f"{escape(trial.label)} ({trial.key}): {grid.states[trial.key]}", soft_wrap=True)
        numbers = Counter(grid.states.values())
        console.print(
            f"{counted(len(grid.trials), 'trial')}: {', '.join(f'{numbers[s]} {s}' for s in State if numbers[s])}"
        )
    if grid.waiting:
        needed = grid.needs()
        console.print(
            f"trials to run: {len(grid.waiting)}; {size(needed.disk)} of disk ({size(grid.free_disk())} free); a step"
            f" of {escape(needed.largest)} needs at least {size(needed.memory)} of memory",
            soft_wrap=True,
        )
        if list_trials:
            seconds = grid.training_seconds()
            known = "no estimate: no trial of these settings has finished in this store"
            console.print(
                f"time: {known if seconds is None else f'about {duration(seconds)}, by finished trials of this store'}",
                soft_wrap=True,
            )
        grid.check_needs(needed)


def tell_jobs(console: Console, submissions: Iterable[Submission], logs: Path) -> None:
    """Print the jobs, and the folder of their output."""
    for submission in submissions:
        after = f" after {' '.join(submission.after)}" if submission.after else ""
        words = f"{'submitted' if submission.fresh else 'in the queue already'}, job {submission.job}{after}"
        state_text = words if submission.job else WORDS[submission.state]
        console.print(f"{escape(submission.trial.label)} ({submission.trial.key}): {state_text}", soft_wrap=True)
    console.print(
        f"output of the jobs: {logs}\nlook at them with squeue --me, malbench status and malbench report; the same"
        " command again submits what then is neither done nor in the queue",
        soft_wrap=True,
    )


def show_diagnoses(console: Console, root: Path, diagnoses: Sequence[Diagnosis]) -> None:
    """Print the datasets that a folder holds, and what to do next."""
    for diagnosis in diagnoses:
        seen = diagnosis.sighting
        if diagnosis.within:
            console.print(escape(f"{diagnosis.within} Use: {' && '.join(diagnosis.steps)}"), soft_wrap=True)
            continue
        # The layout of what cannot be read is a guess.
        layout = [f"  layout: {seen.layout}"] if seen.readable else []
        lines = [f"{seen.title} in {seen.folder}", *layout, *(f"  {part}" for part in seen.parts)]
        if seen.fault is not None:
            lines += [f"  not readable: {seen.fault.what}", *(f"    {line}" for line in _facts(seen.fault))]
        lines += [f"  incomplete: {', '.join(diagnosis.missing)}"] if seen.readable and diagnosis.missing else []
        lines += [f"  {sentence}" for sentence in diagnosis.beside]
        lines += [f"  next: {step}" for step in diagnosis.steps]
        console.print(escape("\n".join(lines)), soft_wrap=True)
    if not diagnoses:
        names = ", ".join(sorted(p.name for p in root.iterdir())[:12]) or "an empty folder"
        console.print(
            escape(
                f"no dataset is recognised in {root}: {names}\n"
                "  next: name the folder that holds your data; docs/data/bp4d.md and its neighbours show the layouts"
            ),
            soft_wrap=True,
        )


def _facts(fault: UserError) -> Iterator[str]:
    """Lines on a fault below its sentence."""
    if fault.where is not None:
        there = Path(fault.where).exists() or ":" in fault.where  # a line of a file
        yield f"{'where' if there else 'missing'}: {fault.where}"
    for name, text in (("expected", fault.expected), ("found", fault.found), ("remedy", fault.remedy)):
        if text:
            yield f"{name}: {text}"


def show_comparison(console: Console, comparison: Comparison) -> None:
    """Print a list of frames beside the known ones."""
    table = Table("", "on the list", "known")
    for name, listed, known in comparison.rows:
        table.add_row(escape(name), f"{listed:,}", f"{known:,}")
    console.print(table)
    sentences = [f"{comparison.inside:.1%} of the frames are known ones, numbers taken {comparison.shift:+d}"]
    if comparison.shift:
        sentences[0] += ": the list counts frames in another way than the labels do"
    sentences += [f"nearest known list: {comparison.nearest}"] if comparison.nearest else []
    differing = comparison.differing
    if differing:
        more = f" and {len(differing) - 12} more" if len(differing) > 12 else ""
        sentences.append(f"sequences of another length: {', '.join(differing[:12])}{more}")
    console.print(escape("\n".join([*sentences, *comparison.remarks])), soft_wrap=True)


def show_check(console: Console, outcome: Report, faces: tuple[FaceSet, ...], steps: Sequence[str]) -> None:
    """Print the table, the findings, the verdict of a data check, and the commands to do next."""
    for face_set in faces:
        console.print(escape(face_set.note), soft_wrap=True)
    table = Table("", "found", "known of a full copy")
    for line in outcome.lines:
        table.add_row(*(escape(text) for text in (line.name, line.found, line.known)))
    if outcome.lines:
        console.print(table)
    for finding in outcome.findings[:MOST_FINDINGS]:
        facts = [("where", finding.where), ("expected", finding.expected), ("found", finding.found)]
        details = "".join(f"\n    {name}: {text}" for name, text in [*facts, ("remedy", finding.remedy)] if text)
        console.print(escape(f"{finding.severity}: {finding.what}{details}"), soft_wrap=True)
    more = len(outcome.findings) - MOST_FINDINGS
    if more > 0:
        console.print(f"and {more} more; --json lists all")
    remarks = len(outcome.findings) - len(outcome.faults)
    number = len(outcome.faults)
    verdict = counted(number, "fault") if number else "passed: nothing is missing or damaged"
    console.print(verdict + (f", {counted(remarks, 'remark')}" if remarks else ""))
    console.print(escape("next:\n" + "\n".join(f"  {step}" for step in steps)), soft_wrap=True)
