"""Damaged inputs through the command line: each is handled or a plain error, and no finished trial is touched.

The first forty cases are among the default tests, all three hundred in `nox -s fuzz`. A case is a function of its
number.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from benchmark import cli
from benchmark.config.settings import StandinSettings
from benchmark.core.places import PROJECT
from tests.fuzz import damage as d
from tests.standins import draw

CASES, SHORT = 300, 40
SMOKE = ("--profile", "smoke")
LEAST = (*("--set", "method.backbone=test_resnet"), *("--set", "train.steps=2"))


def malbench(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, output and error output of the command line; what it does not turn into these is raised."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["malbench", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cli.main()
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()


@dataclass(frozen=True)
class World:
    """Undamaged inputs, which no test changes; all but `data` is copied for a case.

    Attributes:
        data: A data root with all datasets, as stand-ins.
        home: `runs/` with two finished trials and two interrupted ones, `results.parquet`, and other files of users.
        cache: Packed frames of `data`.
    """

    data: Path
    home: Path
    cache: Path

    def gft(self, home: Path, *arguments: str) -> tuple[str, ...]:
        """A run of seconds."""
        where = ("--data", str(self.data), "--runs", str(home / "runs"), "--cache", str(self.cache))
        return ("run", "gft", *where, *(() if "--profile" in arguments else SMOKE), *LEAST, *arguments)


class AfterTheFirstStep(list[int]):
    """A signal that is caught while a trial is trained: before the trial was begun there is none."""

    looks = 0

    def __bool__(self) -> bool:
        self.looks += 1
        return self.looks > 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("world")
    made = World(base / "data", base / "home", base / "cache")
    settings = StandinSettings(size=24, au_subjects=6, frames_per_sequence=1, fe_train=24, fe_test=8, fe_ambiguous=0.0)
    sizes = ("gft.standin_frames=4", "disfa.standin_frames=6")
    draw(made.data, settings, "bp4d", "disfa", "gft", "rafdb", overrides=sizes)
    assert malbench(*made.gft(made.home, "--method", "stl", "--method", "mtl"))[0] == 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cli.run, "_caught_signals", lambda: contextlib.nullcontext(AfterTheFirstStep([signal.SIGTERM])))
        for method in ("mal", "mtan"):
            assert malbench(*made.gft(made.home, "--method", method))[0] == 128 + signal.SIGTERM
    assert malbench("report", "--runs", made.home / "runs", "--out", made.home / "reports")[0] == 0
    (finished,) = (made.home / "runs/gft/stl").iterdir()
    shutil.copy(finished / "model.safetensors", made.home / "start.safetensors")
    shutil.copy(finished / "predictions.parquet", made.home)
    shutil.copy(PROJECT / "reports/cost.json", made.home / "reports")
    shutil.copy(PROJECT / "benchmark/config/profiles/smoke.toml", made.home / "mine.toml")
    (made.home / "split.csv").write_bytes((made.data / "GFT/split.csv").read_bytes())
    return made


Arguments = Callable[[World, Path, Path], Sequence[str | Path]]
"""Called with the world, the folder of the case and the damaged file."""


@dataclass(frozen=True)
class Target:
    """Files that are damaged alike, and the command that reads them.

    Attributes:
        name: For people.
        files: A pattern below `data` or `home` of the world.
        kinds: Of damage.
        arguments: Of the command.
        sealed: Whether damage to bytes must not go unnoticed: the command fails, or its report is the same.
    """

    name: str
    files: str
    kinds: tuple[d.Damage, ...]
    arguments: Arguments
    sealed: bool = False


def check(dataset: str, *more: str) -> Arguments:
    return lambda world, home, file: ("data", "check", dataset, "--data", world.data, *SMOKE, *more)


def prepare(dataset: str, *more: str) -> Arguments:
    return lambda world, home, file: (
        *("data", "prepare", dataset, "--data", world.data, "--cache", home / "cache", *SMOKE, *more),
    )


def run(*more: str) -> Arguments:
    return lambda world, home, file: world.gft(home, *more)


def report(world: World, home: Path, file: Path) -> Sequence[str | Path]:
    return ("report", "--runs", home / "runs", "--out", home / "out")


def of_results(world: World, home: Path, file: Path) -> Sequence[str | Path]:
    return ("report", "--results", file, "--out", home / "out")


ORIGINAL = ("--set", "rafdb.source=original")
TARGETS = (
    Target("BP4D image", "data/BP4D/Sequences(2D+3D)/F00*/*/*.jpg", d.IMAGE, prepare("bp4d")),
    Target("GFT image", "data/GFT/images/*/*.jpg", d.IMAGE, prepare("gft")),
    Target("RAF-DB image", "data/RAF-DB/basic/Image/original/*.jpg", d.IMAGE, prepare("gft", *ORIGINAL)),
    Target("DISFA video or image", "data/DISFA/*Camera/**/*.*", d.IMAGE, prepare("disfa")),
    Target("BP4D coding", "data/BP4D/AUCoding/AU_OCC/*.csv", d.TEXT, check("bp4d")),
    Target("DISFA labels", "data/DISFA/ActionUnit_Labels/*/*.txt", d.TEXT, check("disfa")),
    Target("GFT annotations", "data/GFT/annotations/*.csv", d.TEXT, check("gft")),
    Target("GFT split", "data/GFT/split.csv", d.TEXT, check("gft")),
    Target("RAF-DB lists", "data/RAF-DB/basic/EmoLabel/*.txt", d.TEXT, check("gft")),
    Target("BP4D landmarks", "data/BP4D/2DFeatures/*.mat", d.BYTES, check("bp4d")),
    Target("DISFA landmarks", "data/DISFA/Landmark_Points/**/*.mat", d.BYTES, check("disfa")),
    Target("RAF-DB landmarks", "data/RAF-DB/basic/Annotation/manual/*.txt", d.TEXT, check("gft", *ORIGINAL)),
    Target("stand-in's truth", "data/truth/*.parquet", d.PARQUET, check("disfa")),
    Target("stand-in's marker", "data/standin.json", d.JSON, check("gft")),
    Target("profile", "home/mine.toml", d.TEXT, lambda w, h, f: w.gft(h, "--profile", str(f), "--method", "stl")),
    Target(
        "checkpoint",
        "home/runs/gft/m*/*/checkpoint.safetensors",
        d.CHECKPOINT,
        run("--method", "mal", "--method", "mtan"),
    ),
    Target("trial's JSON", "home/runs/gft/*tl/*/*.json", d.JSON, report, sealed=True),
    Target("trial's tables", "home/runs/gft/*tl/*/[cfhs]*.parquet", d.PARQUET, report, sealed=True),
    Target("trial's mark", "home/runs/gft/*tl/*/DONE", d.TEXT, report, sealed=True),
    Target("trial, run again", "home/runs/gft/*tl/*/[!p]*.*", d.BYTES, run("--method", "stl", "--method", "mtl")),
    Target("any trial, status", "home/runs/gft/*/*/*.json", d.JSON, lambda w, h, f: ("status", "--runs", h / "runs")),
    Target("results", "home/reports/results.parquet", d.PARQUET, of_results, sealed=True),
    Target(
        "results of others",
        "home/reports/results.parquet",
        d.PARQUET,
        lambda w, h, f: ("report", "--compare", f, w.home / "reports/results.parquet", "--out", h / "out"),
    ),
    Target(
        "predictions",
        "home/predictions.parquet",
        d.PARQUET,
        lambda w, h, f: (
            *("score", f, "gft", "--name", "x", "--results", w.home / "reports/results.parquet"),
            *("--out", h / "x.parquet", "--data", w.data, *SMOKE),
        ),
    ),
    Target("measurements", "home/reports/cost.json", d.JSON, lambda w, h, f: ("cost", "--out", f.parent)),
    Target(
        "weights",
        "home/start.safetensors",
        d.SAFETENSORS,
        lambda w, h, f: w.gft(h, "--method", "stl", "--set", f"method.weights={f}"),
    ),
)


def digests(runs: Path) -> dict[str, str]:
    """A hash of every file of the finished trials, but locks."""
    return {
        str(file.relative_to(runs)): blake2b(file.read_bytes()).hexdigest()
        for done in sorted(runs.glob("*/*/*/DONE"))
        for file in sorted(done.parent.iterdir())
        if file.name != ".lock"
    }


@contextlib.contextmanager
def damaged(file: Path, content: bytes) -> Iterator[None]:
    """The file holds something else inside."""
    before, state = file.read_bytes(), file.stat()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.fixture(scope="module")
def undamaged(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The report on the world as it is."""
    return {"tables.md": (world.home / "reports/tables.md").read_bytes()}


NUMBERS = [*range(SHORT), *(pytest.param(n, marks=pytest.mark.long) for n in range(SHORT, CASES))]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_damaged_input(
    world: World, undamaged: dict[str, bytes], tmp_path: Path, outcomes: Counter[tuple[str, str]], number: int
) -> None:
    target = TARGETS[number % len(TARGETS)]
    rng = np.random.default_rng(number)
    kind = target.kinds[int(rng.integers(len(target.kinds)))]
    home = tmp_path / "home"
    shutil.copytree(world.home, home)
    places = {"data": world.data, "home": home}
    where, _, pattern = target.files.partition("/")
    files = sorted(path for path in places[where].glob(pattern) if path.is_file())
    file, other = (files[int(i)] for i in rng.integers(len(files), size=2))
    if other == file:  # then a file of another kind
        other = next(path for path in sorted(world.home.rglob("*.parquet")) if path.name != file.name)
    content = file.read_bytes()
    changed = kind(rng, content, other.read_bytes())
    case = f"{target.name}, {kind.__name__}: {file.relative_to(places[where])}"
    try:
        with damaged(file, changed):
            before = digests(home / "runs")
            status, out, err = malbench(*target.arguments(world, home, file))
            after = digests(home / "runs")
        assert status in (0, 1, 2), f"{case}\n{out}{err}"
        assert status != 2 or err.startswith("error: "), f"{case}\n{out}{err}"
        # The data have faults, or a trial failed.
        assert status != 1 or "fault" in out or err.startswith("error: "), f"{case}\n{out}{err}"
        assert "Traceback" not in out + err, f"{case}\n{out}{err}"
        assert before.items() <= after.items(), case
        if target.sealed and kind in d.BYTES and status == 0:
            assert (home / "out/tables.md").read_bytes() == undamaged["tables.md"], case
    finally:
        shutil.rmtree(tmp_path)
    outcomes[target.name, "handled" if status == 0 else "errors"] += 1


def test_every_target_is_read(world: World, tmp_path: Path) -> None:
    """Undamaged, each command succeeds: an error above is the damage's."""
    home = tmp_path / "home"
    shutil.copytree(world.home, home)
    for target in TARGETS:
        where, _, pattern = target.files.partition("/")
        file = min((world.data if where == "data" else home).glob(pattern))
        status, out, err = malbench(*target.arguments(world, home, file))
        assert status == 0, f"{target.name}\n{out}{err}"
    shutil.rmtree(home)
