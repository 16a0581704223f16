"""Studies: the trials of their questions, and their pages."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from benchmark.api.data import load_data
from benchmark.api.grid import Grid, find_device, plan_grid
from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import Execution, GridRequest, check_request
from benchmark.api.results import read_results
from benchmark.config.profile import load_profile
from benchmark.config.settings import DEFAULT_AU
from benchmark.config.trial import RENDERS
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.core.places import default_cache
from benchmark.core.words import counted
from benchmark.data.known import known_fe
from benchmark.launch.processes import Sharing, sharing
from benchmark.launch.slurm import with_prerequisites
from benchmark.report.provenance import machine_in
from benchmark.store.results import Results
from benchmark.study.gradient_probe import probe_training, write_gradient_probe
from benchmark.study.page import write_study
from benchmark.study.plan import Plan, Question, load_plan, plan_file
from benchmark.study.registration import register
from benchmark.study.rows import digests_of
from benchmark.trials.expand import Selection, expand
from benchmark.trials.prepare import starts_from_renders
from benchmark.trials.provenance import provenance
from benchmark.trials.runner import Outcome
from benchmark.trials.states import source_hashes
from benchmark.trials.trainer import RunOptions
from methods import discover

STEP_BYTES = 400 * 2**20
"""Memory of a step of the stand-in's networks, at most; trials of larger ones need a number of `--processes`."""


@dataclass(frozen=True)
class StudyRequest:
    """A study and its store.

    Attributes:
        plan: A plan of the suite, or a TOML file.
        questions: Names of questions or choices; none for all.
        runs: Store of the study's trials.
        cache: Folder of packed frames and stand-ins.
        execution: Device, threads, checkpoints.
        beside: Results files of other machines. Their trials are not run again, unless the code has changed since.
    """

    plan: str = "decisive"
    questions: tuple[str, ...] = ()
    runs: Path = Path("runs/study")
    cache: Path = field(default_factory=default_cache)
    execution: Execution = field(default_factory=Execution)
    beside: tuple[Path, ...] = ()


def check_study(request: StudyRequest) -> Plan:
    """Load a plan and check the settings of every question, before anything is trained.

    Args:
        request: The study and its store.

    Returns:
        The plan.

    Raises:
        UserError: No such plan or question, or a wrong setting.

    Example:
        >>> plan = check_study(StudyRequest("decisive"))
        >>> plan.dataset
        'bp4d'
    """
    plan = load_plan(request.plan)
    digests_of(plan, discover())
    _asked(plan, request)
    return plan


def study_sharing(request: StudyRequest) -> Sharing:
    """Number of processes that share the trials of a study, and threads of each.

    Args:
        request: The study; `execution.processes` and `execution.threads` say what is asked for.

    Example:
        >>> study_sharing(StudyRequest("decisive", execution=Execution("cpu", threads=1, processes=2)))
        Sharing(processes=2, threads=1)
    """
    asked = request.execution
    on_cpu = find_device(asked.device).type == "cpu"
    return sharing(asked.processes, asked.threads, on_cpu=on_cpu, step_bytes=STEP_BYTES)


def run_study(
    request: StudyRequest, plan: Plan, run_grid: Callable[[Grid], list[Outcome]], listener: Listener = SILENT
) -> bool:
    """Run the trials of a study, except those that another process runs or that `beside` has.

    Args:
        request: The study and its store.
        plan: Result of `check_study`.
        run_grid: Called with each grid to run it; returns its outcomes.
        listener: Receives progress.

    Returns:
        Whether a trial failed.

    Raises:
        UserError: Data or settings are wrong, or a file of `beside` is not a results file.

    Example:
        >>> request = StudyRequest("decisive")
        >>> run_study(request, check_study(request), lambda grid: grid.run())  # doctest: +SKIP
        False
    """
    asked = _asked(plan, request)
    elsewhere = _fresh_trials(request.beside)
    failed = False
    # Seed by seed, so that every question has all trials of a seed before the next seed starts.
    turns = [
        (seed, question) for seed in sorted({s for question in asked for s in question.seeds}) for question in asked
    ]
    for seed, question in turns:
        if seed not in question.seeds:
            continue
        listener.note(f"{question.name}, seed {seed}: {question.title}")
        grid = plan_grid(
            GridRequest(
                plan.dataset,
                methods=question.methods,
                parts=question.parts,
                seeds=(seed,),
                profile=plan.profile,
                overrides=question.set,
                runs=request.runs,
                cache=request.cache,
                execution=replace(request.execution, processes=1),  # the processes share the whole study
            ),
            listener,
        )
        grid = _without(grid, elsewhere, listener)
        if not grid.trials:
            continue
        grid.check_needs(grid.needs())
        failed |= any(outcome.why is not None for outcome in run_grid(grid))
    return failed


def _without(grid: Grid, done: frozenset[str], listener: Listener) -> Grid:
    """The grid without the trials of these keys, and without the stages that no other trial starts from."""
    stages = {before.key for trial in grid.trials for before in trial.prerequisites.values()}
    asked = [trial.key for trial in grid.trials if trial.key not in stages]
    left = [key for key in asked if key not in done]
    if len(left) == len(asked):
        return grid
    listener.note(f"not run again, since other results have them: {counted(len(asked) - len(left), 'trial')}")
    return replace(grid, trials=tuple(with_prerequisites(grid.trials, *left)))


def _fresh_trials(files: Sequence[Path]) -> frozenset[str]:
    """Keys of the trials in results files that the present code made or verified."""
    present = source_hashes()
    tables = [Results.read(file).mark_stale(present).trials for file in files]
    return frozenset(key for table in tables for key in table.loc[~table["stale"], "trial"])


def write_study_page(plan_name: str, runs: Path, out: Path, *, beside: Sequence[Path] = ()) -> list[Path]:
    """Write the page of a study from the trials that are done.

    Args:
        plan_name: A plan of the suite, or a TOML file.
        runs: Store of the study's trials.
        out: Folder of the page.
        beside: Results files of other machines; the store wins where both have a trial.

    Returns:
        The files written.

    Raises:
        UserError: No trial is done, or trials on several versions of the data answer one question.

    Example:
        >>> from pathlib import Path
        >>> write_study_page("decisive", Path("runs/study"), Path("page"))  # doctest: +SKIP
        [PosixPath('page/decisive.md'), PosixPath('page/decisive.parquet')]
    """
    plan = load_plan(plan_name)
    present = source_hashes()
    results = read_results(runs) if runs.is_dir() else Results.empty()
    for file in beside:
        results = results.beside(Results.read(file).mark_stale(present))
    return write_study(plan, results, out, digests=digests_of(plan, discover()), name=plan_name)


def register_plan(plan_name: str) -> Path:
    """Record the commit and the digest of a plan, before its trials run.

    Args:
        plan_name: A plan of the suite, or a TOML file.

    Returns:
        The file of the registration, to commit.

    Raises:
        UserError: The plan has a mistake, or is not committed as it stands.

    Example:
        >>> register_plan("decisive")  # doctest: +SKIP
        PosixPath('benchmark/study/plans/decisive.registered')
    """
    plan = load_plan(plan_name)
    digests_of(plan, discover())
    return register(plan_file(plan_name))


def _asked(plan: Plan, request: StudyRequest) -> list[Question]:
    return [question for name in request.questions or plan.names for question in plan.asked(name)]


def probe_gradients(
    out: Path,
    *,
    command: str,
    part: str = "part1",
    seed: int = 0,
    profile: str = "standin",
    overrides: Sequence[str] = (),
    every: int = 100,
    window: int = 20,
    cache: Path | None = None,
    execution: Execution | None = None,
    listener: Listener = SILENT,
) -> list[Path]:
    """Train MAL on the stand-in, and write the gradients that its meta_net gets, by kind of sample.

    Args:
        out: Folder of the page.
        command: Command line that the page names as its source.
        part: Test part.
        seed: Seed of the trial.
        profile: A profile of the suite or a TOML file.
        overrides: Changes to the profile.
        every: Steps between the starts of windows.
        window: Steps of a window.
        cache: Folder of packed frames and stand-ins.
        execution: Device and threads.
        listener: Receives progress.

    Returns:
        The files written.

    Raises:
        UserError: A wrong name or setting, or a trial that starts from another one.

    Example:
        >>> from pathlib import Path
        >>> files = probe_gradients(Path("page"), command="malbench gradient-probe")  # doctest: +SKIP
    """
    execution = execution or Execution()
    settings, changed = load_profile(profile, list(overrides))
    if starts_from_renders(settings):
        raise UserError(
            "the gradient probe looks at a training from its start, and a trial that starts from renders has another",
            found=f"weights = {RENDERS}",
            remedy="name a file with --set method.weights=FILE: the model.safetensors of a finished stage will do",
        )
    check_request(
        GridRequest(DEFAULT_AU, methods=("mal",), parts=(part,), profile=profile, overrides=tuple(overrides))
    )  # before anything is drawn
    torch.set_num_threads(execution.threads or available_cores())
    registry = discover()
    data = load_data(DEFAULT_AU, profile=settings, overrides=changed, cache=cache, registry=registry, listener=listener)
    fe = data.frames.fe.faces
    kinds = known_fe(data.root, fe.dataset).set_index("path")["kind"].reindex(fe.table["path"])
    selection = Selection(methods=("mal",), parts=(part,), seeds=(seed,))
    (trial,) = expand(settings, changed, registry, data.sources, selection)
    options = RunOptions(device=find_device(execution.device), on_step=listener.progress)
    with tempfile.TemporaryDirectory() as scratch:
        seen = probe_training(
            trial, data.protocol, data.frames, list(kinds), Path(scratch), options, every=every, window=window
        )
    machine = machine_in(provenance(options.device))
    return write_gradient_probe(seen, out, command=command, machine=machine, title=trial.label, window=window)
