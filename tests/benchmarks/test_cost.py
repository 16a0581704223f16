"""Cost of a step of MTL and of MAL in all its forms: time, peak memory, counted operations. Run by `nox -s bench`.

Each row is measured in a process of its own: one for times, one for memory. A form whose meta-gradient is not that
of double backward fails before anything is timed.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmark.trials.provenance import cpu_name
from methods.mal import MAL
from tests.benchmarks.forms import FORMS
from tests.benchmarks.plan import BOAT, GIVE_BACK, HIGHER, MTL, RESNET34, RETAIN, SLOW, TORCHOPT, Row, plan
from tests.benchmarks.worker import make

ROOT = Path(__file__).parents[2]
LIBRARIES = {HIGHER: "higher", TORCHOPT: "torchopt", BOAT: "boat_torch"}
PACKAGES = {"torch": "torch", "timm": "timm", "higher": "higher", "torchopt": "torchopt", "boat_torch": "boat-torch"}
"""Packages by module, whose versions the report names."""
ROUNDS = {"step": 5, "options": 4, "curves": 3, "gpu": 20, "families": 5}


@contextmanager
def worker(row: Row, environment: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """A process that answers requests about a row."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.worker", json.dumps(asdict(row))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def answer() -> str:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if not said:
            assert process.stderr is not None
            why = process.stderr.read().strip().splitlines()[-1:]
            pytest.fail(f"{row.label}: not measured, the process ended: {why or 'killed, for want of memory?'}")
        return said

    def ask(request: str) -> str:
        assert process.stdin is not None
        process.stdin.write(f"{request}\n")
        process.stdin.flush()
        return answer()

    try:
        assert answer() == "ready"
        yield ask
    finally:
        process.stdin.close()
        process.kill()
        process.wait()


def meta_gradient(
    form: str, option: str = "", *, amp: bool = False, backbone: str = RESNET34, exact: bool = False
) -> Tensor:
    """∇_ψ L_val of the first step of a form, on a small batch; in float64 if it is to be exact."""
    method, batch = make(Row("check", form, 64, 8, 8, 16, amp=amp, option=option, backbone=backbone))
    assert isinstance(method, MAL)
    if exact:
        method = method.double()
        batch = {stream: replace(given, images=given.images.double()) for stream, given in batch.items()}
    method.update(batch, 0)
    return torch.cat([p.grad.flatten() for p in method.meta_net.parameters() if p.grad is not None])


def error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@cache
def check(form: str, option: str, backbone: str) -> None:
    """Refuse to time a form that computes something else."""
    library = LIBRARIES.get(form)
    if library is not None and find_spec(library) is None:
        pytest.fail(f"{form} cannot be measured: install the extra `bench` (pip install -e '.[bench]')")
    # In float32 a deep network has an error of its own, so that forms on other backbones are compared in float64.
    exact, limit = (False, 1e-4) if backbone == RESNET34 else (True, 1e-7)
    try:
        ours = meta_gradient(form, option, backbone=backbone, exact=exact)
    except (RuntimeError, NotImplementedError) as why:
        pytest.fail(f"{form} cannot take a step of {backbone}: {str(why).splitlines()[0]}")
    wrong = error(ours, by_double_backward(backbone, exact=exact))
    if not wrong < limit:
        pytest.fail(f"{form} is not measured: its meta-gradient differs from double backward's by {wrong:.1e}")


@cache
def by_double_backward(backbone: str, *, exact: bool) -> Tensor:
    """The meta-gradient by double backward, which torch has of this form of hard sigmoid alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(F, "hardsigmoid", lambda x, inplace=False: F.relu6(x + 3) / 6)
        return meta_gradient(SLOW, backbone=backbone, exact=exact)


@cache
def forward_passes(row: Row) -> float:
    """Operations of a step in forward passes over its AU and FE images; the count is linear in the batch."""
    small = replace(row, au=2, fe=2, val=2 * row.val // row.au, px=64, option=row.other_form, device="cpu", amp=False)
    method, batch = make(small)
    with FlopCounterMode(display=False) as step:
        method.update(batch, 0)
    _, batch = made = make(replace(small, form=MTL, option=""))
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        made[0].net(*(samples.images for samples in batch.values()))
    return step.get_total_flops() / forward.get_total_flops()


@pytest.mark.parametrize("row", plan(), ids=lambda row: row.label)
def test_step(benchmark, row: Row) -> None:
    if row.form != MTL:
        check(row.form, row.other_form, row.backbone)
    environment = RETAIN if row.option == "glibc keeps what is freed" else {}
    memory = None
    if row.table == "memory":
        benchmark.pedantic(lambda: None, rounds=1)  # a row of pytest-benchmark; its time is not shown
    else:
        with worker(row, environment) as ask:
            benchmark.pedantic(ask, args=("step",), rounds=ROUNDS[row.table], warmup_rounds=2)
            if row.device == "cuda":  # its allocator counts tensors, however long it runs
                memory = float(ask("memory"))
    if memory is None:
        with worker(row, environment or GIVE_BACK) as ask:
            for _ in range(1 if row.table == "memory" else 2):
                ask("step")
            memory = float(ask("memory"))
    measured = {"peak_mb": memory, "forward_passes": forward_passes(row), **made_on(row.device)}
    if row.amp and row.form in FORMS:
        measured["gradient_error"] = error(meta_gradient(row.form, amp=True), meta_gradient(SLOW))
    if row.table == "families" and row.form != MTL:
        exactly = meta_gradient(row.form, row.option, backbone=row.backbone, exact=True)
        measured["gradient_error"] = error(meta_gradient(row.form, row.option, backbone=row.backbone).double(), exactly)
    benchmark.extra_info.update({**asdict(row), **measured, "threads": 2})


def made_on(device: str) -> dict[str, str]:
    """The device by its name, and the versions."""
    named = torch.cuda.get_device_name() if device == "cuda" else cpu_name()
    there = [name for module, name in PACKAGES.items() if find_spec(module) is not None]
    # torch's own string names its build too
    versions = [f"{name} {torch.__version__ if name == 'torch' else version(name)}" for name in there]
    return {
        "machine": f"{named}, {platform.system()}, Python {platform.python_version()}",
        "versions": ", ".join(versions),
    }


def sgd_step_inputs() -> tuple[list[Tensor], list[Tensor]]:
    method, _ = make(Row("check", MTL, 64, 2, 2, 2))
    theta = [p.detach() for p in method.net.parameters()]
    return theta, [torch.randn_like(p) for p in theta]


@pytest.mark.parametrize("way", ["loop", "foreach"])
def test_virtual_step(benchmark, way: str) -> None:
    """Eq. 6 parameter by parameter, and by torch's multi-tensor kernel."""
    theta, grads = sgd_step_inputs()
    ways: dict[str, Callable[[], list[Tensor]]] = {
        "loop": lambda: [p - 1e-3 * g for p, g in zip(theta, grads, strict=True)],
        "foreach": lambda: list(torch._foreach_add(theta, grads, alpha=-1e-3)),
    }
    benchmark.pedantic(ways[way], rounds=20, warmup_rounds=3)
    benchmark.extra_info.update({"table": "virtual_step", "option": way, **made_on("cpu")})
