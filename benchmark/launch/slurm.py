"""Trials as jobs of a Slurm cluster, with their resources and dependencies.

A job runs `malbench run` for one trial: its process becomes that command, so that no object is pickled on the way.
Slurm sends SIGTERM before the time limit and at a pre-emption. The command then writes a checkpoint and ends with
`STOPPED`, and the script puts the job back into the queue.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from benchmark.config.settings import SlurmResources, SlurmSettings
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError, did_you_mean, near_keys
from benchmark.core.files import json_object, read_bytes
from benchmark.store.folder import JOB, TrialFolder
from benchmark.trials.states import State, needed_stages, readable_state, source_hashes
from methods import Registry

LOGS = "slurm"
"""Folder of the store with the output of the jobs."""
STOPPED = 128 + signal.SIGTERM
"""Exit status of a run after SIGTERM."""

# Without the trap, SIGTERM at a pre-emption would end Bash before the lines that requeue the job.
SETUP = ["trap : TERM"]
# A cancelled job, and one that Slurm itself requeues, is COMPLETING here; a job near its time limit or at a pre-emption
# is RUNNING. SLURM_JOB_ID of an array's last task is that of the array: squeue and scontrol would act on all tasks.
REQUEUE = """status=$?
job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
job=${{job:-$SLURM_JOB_ID}}
if [ $status = {stopped} ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most} ] &&
  [ "$(squeue --noheader --jobs "$job" --format %T)" = RUNNING ]; then
  scontrol requeue "$job" && exit
fi
exit $status"""


class Queue(Protocol):
    """A batch system."""

    def jobs(self) -> set[str]:
        """Ids of the user's waiting and running jobs."""

    def submit(
        self, name: str, resources: SlurmResources, after: Sequence[str], commands: Sequence[list[str]]
    ) -> list[str]:
        """Submit one array, a task for each command (arguments of `malbench`), to start once jobs `after` succeeded."""


@dataclass(frozen=True)
class Submission:
    """Result of a submission for one trial."""

    trial: Trial
    state: State
    """`to do` if it has a job; `done`, `stale` or `running` if it needs none."""
    job: str = ""
    after: tuple[str, ...] = ()
    """Ids of the jobs that must succeed first."""
    fresh: bool = False
    """Whether this call submitted the job."""


def submit_trials(
    trials: Sequence[Trial],
    registry: Registry,
    runs: Path,
    settings: SlurmSettings,
    command: Sequence[str],
    queue: Queue,
) -> list[Submission]:
    """Submit every trial that is not done, damaged, running or in the queue; trials of one method form one array.

    Args:
        trials: The trials, each after those that it starts from.
        registry: All methods.
        runs: The store.
        settings: Resources of the jobs.
        command: Arguments of `malbench` that run these trials.
        queue: The batch system.

    Returns:
        One submission per trial.

    Raises:
        UserError: Slurm takes no job, or a method in the settings is unknown.
    """
    for name in settings.methods:
        if name not in registry.names:
            raise UserError(f"unknown method '{name}' in slurm.methods", remedy=did_you_mean(name, registry.names))
    runs.mkdir(parents=True, exist_ok=True)
    submissions: dict[str, Submission] = {}
    waiting: dict[str, Trial] = {}
    with FileLock(runs / f".{LOGS}.lock"):
        queued, present = queue.jobs(), source_hashes(registry)
        states = {trial.key: _state(trial, runs, present) for trial in trials}
        needed = needed_stages(trials, lambda t: states[t.key].is_finished, lambda t: states[t.key].is_trusted)
        for trial in trials:
            state, job = states[trial.key], _last_job(trial, runs)
            finished = state.is_trusted or (state.is_finished and trial.key not in needed)
            if not finished and job in queued:
                submissions[trial.key] = Submission(trial, State.TO_DO, job)
            elif finished or state in {State.RUNNING, State.DAMAGED}:
                submissions[trial.key] = Submission(trial, state)
            else:
                waiting[trial.key] = trial
        while waiting:
            arrays: dict[tuple[str, tuple[str, ...]], list[Trial]] = {}
            for trial in waiting.values():
                before = [stage.key for stage in trial.prerequisites.values()]
                if not any(key in waiting for key in before):
                    after = tuple(sorted({submissions[key].job for key in before if submissions[key].job}))
                    arrays.setdefault((trial.method, after), []).append(trial)
            for (method, after), members in arrays.items():
                resources = settings.resources_of(method)
                commands = [[*command, *_place(command, resources), "--trial", trial.key] for trial in members]
                ids = queue.submit(f"malbench-{method}", resources, after, commands)
                for trial, job in zip(members, ids, strict=True):
                    folder = TrialFolder(trial.folder(runs))
                    folder.announce(trial)
                    folder.reopen()
                    folder.write_json(JOB, {"job": job})
                    submissions[trial.key] = Submission(waiting.pop(trial.key), State.TO_DO, job, after, fresh=True)
    return [submissions[trial.key] for trial in trials]


def with_prerequisites(trials: Sequence[Trial], *keys: str) -> list[Trial]:
    """The trials with these keys, each after the trials that it starts from.

    Raises:
        UserError: No trial has one of the keys.
    """
    known = {trial.key: trial.label for trial in trials}
    for key in keys:
        if key not in known:
            raise UserError(
                f"no trial with the key '{key}' among those chosen",
                found=near_keys(key, known),
                remedy="name one of these with --trial; a key changes with settings, data and code, so submit a job of "
                "older ones again",
            )
    wanted = set(keys)
    for trial in reversed(trials):
        if trial.key in wanted:
            wanted |= {before.key for before in trial.prerequisites.values()}
    return [trial for trial in trials if trial.key in wanted]


def _state(trial: Trial, runs: Path, present: dict[str, str]) -> State:
    folder = TrialFolder(trial.folder(runs))
    return readable_state(folder, present) if folder.path.is_dir() else State.TO_DO


def _last_job(trial: Trial, runs: Path) -> str:
    try:
        return str(json_object(read_bytes(trial.folder(runs) / JOB))["job"])
    except (FileNotFoundError, ValueError, KeyError, UserError):  # no job, or no readable record of one
        return ""


def _place(command: Sequence[str], resources: SlurmResources) -> list[str]:
    """Missing arguments for threads and device: all CPUs of the job, and CUDA if it has a GPU."""
    given = {argument.split("=")[0] for argument in command}
    threads = [] if "--threads" in given else ["--threads", str(resources.cpus)]
    return threads if "--device" in given or not resources.gpus else [*threads, "--device", "cuda"]


def _load_submitit() -> Any:
    try:
        import submitit  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UserError(
            "Slurm needs submitit, which is not installed",
            remedy='from the checkout: python -m pip install --constraint requirements.lock --editable ".[slurm]"',
        ) from error
    if submitit.SlurmExecutor.affinity() < 0:
        raise UserError(
            "there is no Slurm on this machine", expected="srun on the path", remedy="submit from a login node"
        )
    return submitit


@dataclass(frozen=True)
class Slurm:
    """The Slurm cluster of this machine.

    Attributes:
        logs: Folder of the jobs' output.
        submitit: The library `submitit`, an optional dependency.
    """

    logs: Path
    submitit: Any = field(default_factory=_load_submitit, repr=False)

    def jobs(self) -> set[str]:
        """See `Queue.jobs`: what `squeue` lists."""
        try:
            listed = subprocess.run(
                ["squeue", "--me", "--array", "--noheader", "--format=%i"], capture_output=True, text=True, check=True
            )
        except subprocess.CalledProcessError as error:
            raise _refused(error.stderr) from error
        return set(listed.stdout.split())

    def submit(
        self, name: str, resources: SlurmResources, after: Sequence[str], commands: Sequence[list[str]]
    ) -> list[str]:
        """See `Queue.submit`: `sbatch` by submitit."""
        executor = self.submitit.SlurmExecutor(folder=self.logs)
        requeue = REQUEUE.format(stopped=STOPPED, most=resources.requeues).splitlines()
        options = {key: value for key, value in resources.options.items() if value is not False}
        signalled = {"signal": f"TERM@{resources.signal_delay_s}", "requeue": True, "kill-on-invalid-dep": "yes"}
        parameters = {
            "job_name": name,
            "partition": resources.partition,
            "account": resources.account,
            "time": resources.time_min,
            "cpus_per_task": resources.cpus,
            "gpus_per_node": resources.gpus,
            "mem": resources.mem_gb and f"{round(1024 * resources.mem_gb)}M",
            "dependency": ":".join(("afterok", *after)) if after else None,
        }
        executor.update_parameters(
            **{key: value for key, value in parameters.items() if value},
            array_parallelism=resources.parallel,
            stderr_to_stdout=True,
            srun_args=[f"--cpus-per-task={resources.cpus}"],  # since Slurm 22.05 srun does not inherit it from sbatch
            setup=SETUP,
            teardown=requeue,
            additional_parameters={**signalled, **options},
        )
        python = sys.executable
        try:
            with executor.batch():
                jobs = [
                    executor.submit(os.execv, python, [python, "-m", "benchmark.cli", *command]) for command in commands
                ]
        except self.submitit.core.utils.FailedJobError as error:
            raise _refused(str(error)) from error
        return [job.job_id for job in jobs]


def _refused(said: str) -> UserError:
    return UserError(
        "Slurm refuses",
        found=(said.strip().splitlines() or ["no word"])[0],
        remedy="check the settings under [slurm]: partition, account, time_min, options",
    )
