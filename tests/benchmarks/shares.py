"""CPU time of a step of each method by kind of operation, at a profile's settings, on one thread.

`python -m tests.benchmarks.shares --help`. The table is in Markdown. Times are of the process, not of the clock, so
other work on the machine disturbs them less; the ratios of one run say more than the numbers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmark import api
from benchmark.api.data import LoadedData
from benchmark.config.trial import Trial
from benchmark.core.machine import freed_memory_kept
from benchmark.trials.expand import Selection, expand
from benchmark.trials.setup import Setup, set_up
from benchmark.trials.trainer import seeded, take_step
from methods import discover
from methods.base import Batch, Finished, Method
from tests.conftest import torch_threads

METHODS = ("stl", "mtl", "mtan", "l2t_ww", "mal")
KINDS: Mapping[str, tuple[str, ...]] = {
    "convolutions": ("conv",),
    "batch norm": ("batch_norm", "batchnorm"),
    "ReLU, pooling": ("relu", "threshold", "clamp_min", "pool", "sigmoid"),
    "matrix products": ("addmm", "::mm", "bmm", "linear"),
    "optimiser": ("optimizer.", "_fused_", "_foreach_"),
}
"""Parts of names of operations, by kind."""
REST = "the rest"
FEW = ("standin.frames_per_sequence=1", "standin.fe_train=600", "standin.fe_test=10")
"""A small stand-in: what the images show does not change the time of a step."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Shares:
    """Cost of a step of one method.

    Attributes:
        method: Name of the method.
        step_s: CPU seconds of a step: median of several.
        batch_s: CPU seconds of reading and augmenting its batch.
        flops: Operations of convolutions and matrix products.
        kinds: CPU seconds of a step by kind of operation.
        kernels: CPU seconds of a step by operation.
        python_s: CPU seconds outside of all operations.
    """

    method: str
    step_s: float
    batch_s: float
    flops: int
    kinds: Mapping[str, float]
    kernels: Mapping[str, float]
    python_s: float


def kind_of(event: FunctionEvent) -> str:
    """Kind of the innermost operation with a known name around an event."""
    at: FunctionEvent | None = event
    while at is not None:
        name = at.name.lower()
        for kind, words in KINDS.items():
            if any(word in name for word in words):
                return kind
        at = at.cpu_parent
    return REST


def made(trial: Trial, data: LoadedData, before: Mapping[str, Finished]) -> tuple[Method, Setup]:
    """The method of a trial before its first step."""
    cls = discover().any(trial.method)
    setup = set_up(trial, cls, data.protocol, data.frames, CPU, before)
    with seeded(trial.seed, CPU):
        return cls.build(cls.HParams.model_validate(trial.hparams), setup.spec, CPU).train(), setup


def learners(data: LoadedData, methods: Sequence[str]) -> Iterator[tuple[Trial, Method, Setup]]:
    """Methods on the first part, with stages that have learned nothing."""
    for name in methods:
        selection = Selection(methods=(name,), parts=(next(iter(data.protocol.parts)),), seeds=(0,))
        *stages, trial = expand(data.profile, data.overrides, discover(), data.sources, selection)
        states = {stage.key: made(stage, data, {})[0] for stage in stages}
        before = {
            role: Finished(states[stage.key].hparams, states[stage.key].state_dict())
            for role, stage in trial.prerequisites.items()
        }
        yield trial, *made(trial, data, before)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of a call, of all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(trial: Trial, method: Method, setup: Setup, steps: int) -> Shares:
    """Take steps of one method; three before the first that counts."""
    batches: list[Batch] = []
    read_s = cpu_seconds(lambda: batches.extend(setup.streams.batches(method.streams, 0, 4)))

    def step(number: int) -> None:
        take_step(trial, method, batches[number % len(batches)], number)

    with seeded(trial.seed, CPU):
        for number in range(3):
            step(number)
        with FlopCounterMode(display=False) as counted:
            step(3)
        times = [cpu_seconds(lambda number=number: step(number)) for number in range(4, 4 + steps)]  # type: ignore[misc]
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            whole = cpu_seconds(lambda: [step(number) for number in range(4 + steps, 7 + steps)])
    kinds, kernels = Counter[str](), Counter[str]()
    for event in profiled.events():
        kinds[kind_of(event)] += event.self_cpu_time_total / 1e6 / 3
        kernels[event.name] += event.self_cpu_time_total / 1e6 / 3
    rest_s = whole / 3 - sum(kinds.values())
    return Shares(trial.method, median(times), read_s / 4, counted.get_total_flops(), kinds, kernels, rest_s)


def page(found: Sequence[Shares]) -> str:
    """The table: times, ratios to the first row, counted ratios, and shares of the operations."""
    base, names = found[0], [*KINDS, REST]
    header = ["method", "step (CPU ms)", f"× {base.method}", f"counted × {base.method}", "batch (CPU ms)", *names]
    lines = [header, [":-", *["-:"] * (len(header) - 1)]]
    for row in found:
        total = sum(row.kinds.values())
        lines.append(
            [
                row.method,
                f"{1e3 * row.step_s:.1f}",
                f"{row.step_s / base.step_s:.2f}",
                f"{row.flops / base.flops:.2f}",
                f"{1e3 * row.batch_s:.1f}",
                *(f"{row.kinds.get(name, 0.0) / total:.0%}" for name in names),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def excess(base: Shares, found: Shares, count: int) -> str:
    """The operations of a step that take longest beyond their counted share of the base's, as a table."""
    ratio = found.flops / base.flops
    beyond = {name: s - ratio * base.kernels.get(name, 0.0) for name, s in found.kernels.items()}
    longest = sorted(beyond, key=lambda name: -beyond[name])[:count]
    lines = [[f"operation of {found.method}", "CPU ms", f"beyond {ratio:.2f} × {base.method}"], [":-", "-:", "-:"]]
    lines += [[name, f"{1e3 * found.kernels[name]:.1f}", f"{1e3 * beyond[name]:.1f}"] for name in longest]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", action="append", help="a method; repeatable; default: the paper's five")
    parser.add_argument("--steps", type=int, default=10, help="steps that count")
    parser.add_argument("--profile", default="standin")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--kernels", type=int, default=0, help="operations of MAL that take longer than counted")
    parser.add_argument("--give-back", action="store_true", help="do not keep freed memory, unlike a run")
    options = parser.parse_args(given)
    kept = nullcontext() if options.give_back else freed_memory_kept()
    with kept, tempfile.TemporaryDirectory() as cache, torch_threads(1):
        overrides = (*FEW, *options.set)
        data = api.load_data("bp4d", profile=options.profile, overrides=overrides, cache=Path(cache))
        names = ("mtl", "mal") if options.kernels else options.method or METHODS
        found = [measure(*learner, options.steps) for learner in learners(data, names)]
    table = page(found)
    text = f"{table}\n\n{excess(*found, options.kernels)}" if options.kernels else table
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
