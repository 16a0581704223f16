"""The grid through a real Slurm, whole and with interruptions: the same files as without it. `nox -s slurm`."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.report.render import build_report
from benchmark.trials.collect import read_store
from benchmark.trials.states import source_hashes
from methods import discover
from tests.chaos.process import contents
from tests.slurm.conftest import ROOT, Cluster

TINY = (
    *("run", "bp4d", "--profile", "smoke", "--set", "method.backbone=test_resnet"),
    *("--set", "standin.size=16", "--set", "data.frame_size=16", "--set", "data.crop_size=16"),
)
SUBMIT = ("--launcher", "slurm")
LOCALLY = ("--threads", "1")
"""A job has one core, and sums depend on the number of threads."""
JOB = "slurm.json"
"""Says what job a trial ran as."""
MEASURED = ["time_train_s", "time_before_s", "peak_memory_mb", "base_memory_mb", "provenance"]
LONG_S = 80
"""Seconds of training that no job of a minute can hold."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def in_service(cluster: Cluster) -> Iterator[None]:
    """Every test starts with an idle node and leaves it so."""
    yield
    cluster.call("scancel", "--me")
    cluster.until("the queue is empty", lambda: not cluster.jobs(), 60)
    if cluster.node_state() != "idle":
        cluster.set_node("resume")
    cluster.until("the node is idle", lambda: cluster.node_state() == "idle", 60)


def jobs_of(said: str) -> dict[str, str]:
    """Job of each trial, by its label, from what was printed."""
    found = re.findall(r"^(\w+ \w+ \w+ seed \d+) \(\w+\): (?:submitted|in the queue already), job (\w+)", said, re.M)
    return dict(found)


def files(runs: Path) -> dict[str, bytes]:
    """Every file of every finished trial that its result is in."""
    found = contents(runs)
    done = {name.removesuffix("DONE") for name in found if name.endswith("/DONE")}
    return {n: b for n, b in found.items() if n.rpartition("/")[0] + "/" in done and not n.endswith(JOB)}


def assert_same(here: Path, there: Path, scratch: Path, trials: int) -> None:
    """The same files, and the same report once measured times and memory are those of one side."""
    left, right = files(here), files(there)
    assert len([name for name in left if name.endswith("/DONE")]) == trials
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []
    sources = source_hashes(discover())
    local, remote = read_store(here, sources), read_store(there, sources)
    trials_there = remote.trials.drop(columns=MEASURED).join(local.trials[MEASURED])[list(local.trials.columns)]
    pages = []
    for name, results in (("here", local), ("there", replace(remote, trials=trials_there))):
        build_report(results, scratch / name, templates=ROOT / "templates")
        pages.append((scratch / name / "tables.md").read_bytes())
    assert pages[0] == pages[1]


def log_of(runs: Path, job: str) -> str:
    return (runs / "slurm" / f"{job}_0_log.out").read_text()


def steps_done(runs: Path, label: str, most: int) -> list[int]:
    """Steps after which a trial stopped, from the outputs of all its jobs."""
    text = "".join(path.read_text() for path in sorted((runs / "slurm").glob("*.out")))
    return [int(n) for n in re.findall(rf"stopped: {label}: (\d+) of\s+{most} steps done", text)]


def test_the_grid_is_that_of_the_local_launcher(cluster: Cluster, cache: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    where = (*TINY, "--runs", there, "--cache", cache)

    # On a drained node nothing begins: the whole grid waits, its frames packed, and is not submitted twice.
    cluster.set_node("drain")
    first = jobs_of(cluster.malbench(*where, *SUBMIT))
    assert len(first) == 16
    assert cluster.jobs() == dict.fromkeys(first.values(), "PENDING")
    packed = sorted(cache.glob("frames/*/*"))
    assert packed
    again = cluster.malbench(*where, *SUBMIT)
    assert (jobs_of(again), again.count("in the queue already")) == (first, 16)
    cluster.set_node("resume")

    # Drained again amid the grid: what runs ends, what waits waits.
    cluster.until("two trials are done", lambda: len(list(there.glob("*/*/*/DONE"))) >= 2)
    cluster.set_node("drain")
    cluster.until("the node is drained", lambda: cluster.node_state() == "drained", 120)
    left = cluster.jobs()
    assert set(left.values()) == {"PENDING"}
    time.sleep(6)
    assert cluster.jobs() == left
    cluster.set_node("resume")
    cluster.until("the queue is empty", lambda: not cluster.jobs())
    assert sorted(cache.glob("frames/*/*")) == packed

    said = cluster.malbench(*where, *SUBMIT)
    assert (jobs_of(said), said.count("done already")) == ({}, 16)
    cluster.malbench(*TINY, *LOCALLY, "--runs", here, "--cache", cache)
    assert_same(here, there, tmp_path, 16)


def test_trials_go_on_after_requeue_preemption_and_time_limit(cluster: Cluster, cache: Path, tmp_path: Path) -> None:
    trial = (*TINY, *LOCALLY, "--method", "mtl", "--part", "part1", "--cache", cache, "--runs", tmp_path / "short")
    cluster.malbench(*trial, "--set", "train.steps=200")
    (made,) = (tmp_path / "short").glob("*/*/*/provenance.json")
    steps = math.ceil(LONG_S * 200 / json.loads(made.read_text())["time_train_s"])
    here, there = tmp_path / "here", tmp_path / "there"
    grid = (*TINY, "--set", f"train.steps={steps}", "--cache", cache)
    stl = (*grid, "--method", "stl", "--part", "part1", "--part", "part2")
    mtl = (*grid, "--method", "mtl", "--part", "part1")
    there_often = ("--runs", there, *SUBMIT, "--checkpoint-every", "2")
    jobs = jobs_of(cluster.malbench(*stl, *there_often))
    cluster.until("both have a checkpoint", lambda: len(list(there.glob("bp4d/stl/*/checkpoint.safetensors"))) == 2)
    cluster.call("scontrol", "requeue", jobs["bp4d stl part1 seed 0"])
    cluster.until("it was stopped", lambda: bool(steps_done(there, "bp4d stl part1 seed 0", steps)), 60)
    cluster.call("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap", "sleep 1")
    cluster.until("the other was pre-empted", lambda: bool(steps_done(there, "bp4d stl part2 seed 0", steps)), 60)
    limit = "slurm.methods.mtl={ time_min = 1, signal_delay_s = 5 }"
    jobs |= jobs_of(cluster.malbench(*mtl, *there_often, "--set", limit))
    # Slurm lets a job that was requeued wait two minutes, and a busy machine trains more slowly than `trial` did.
    cluster.until("the queue is empty", lambda: not cluster.jobs(), 1500)

    for label, job in jobs.items():
        stops = steps_done(there, label, steps)
        assert stops
        assert stops == sorted(set(stops))  # further each time
        assert log_of(there, job).count("training, from its checkpoint on") == len(stops)
    for chosen in (stl, mtl):
        cluster.malbench(*chosen, *LOCALLY, "--runs", here)
    assert_same(here, there, tmp_path, 3)


def test_a_node_that_dies_and_jobs_that_are_cancelled(cluster: Cluster, cache: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    grid = (*TINY, "--cache", cache, "--runs", runs, *SUBMIT, "--checkpoint-every", "1")
    one = (*grid, "--method", "stl", "--part", "part1", "--set", "train.steps=1000000")
    (job,) = jobs_of(cluster.malbench(*one)).values()
    checkpoint = "bp4d/stl/*/checkpoint.safetensors"
    cluster.until("it has a checkpoint", lambda: any(runs.glob(checkpoint)))
    cluster.set_node("down")
    cluster.until("its job waits", lambda: cluster.jobs() == {job: "PENDING"}, 60)
    cluster.set_node("resume")
    cluster.until("it goes on", lambda: "training, from its checkpoint on" in log_of(runs, job))

    # Cancelled is cancelled; the same command submits it anew, and it goes on.
    cluster.call("scancel", job)
    cluster.until("it is gone", lambda: not cluster.jobs(), 60)
    time.sleep(6)
    assert not cluster.jobs()
    assert "interrupted" in cluster.malbench("status", "--runs", runs)
    (other,) = jobs_of(cluster.malbench(*one)).values()
    assert other != job
    cluster.until("it goes on", lambda: "training, from its checkpoint on" in log_of(runs, other))
    cluster.call("scancel", other)
    cluster.until("it is gone", lambda: not cluster.jobs(), 60)

    # What would start from a trial that never ends leaves the queue with it.
    cluster.set_node("drain")
    jobs = jobs_of(cluster.malbench(*grid, "--method", "l2t_ww"))
    assert len(jobs) == 4
    cluster.call("scancel", jobs["rafdb fe_source all seed 0"])
    cluster.until("nothing waits for it", lambda: not cluster.jobs(), 120)
