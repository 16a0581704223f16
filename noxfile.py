"""Sessions: the main job, reports, smoke runs, tests, lint. All share one environment, with one copy of torch."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["bp4d"]

ROOT = Path(__file__).parent
# Every file of methods/ that registers a method is one isolated session; no import, so torch need not be installed yet.
METHODS = [
    nox.param(p.stem, id=p.stem)
    for p in sorted((ROOT / "methods").glob("*.py"))
    if re.search(r"^@register\(", p.read_text(encoding="utf-8"), flags=re.MULTILINE)
]

# Every session but `environment` runs the programs of that one environment.
shared = nox.session(venv_backend="none", requires=["environment"])


@nox.session(reuse_venv=True, default=False)
def environment(session: nox.Session) -> None:
    """Build the one environment; install again only when the requirements change."""
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.lock")))
    stamp = Path(session.virtualenv.location) / "malbench-requirements"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted.hexdigest():
        session.install("--constraint", "requirements.lock", "--editable", ".[dev]", silent=False)
        stamp.write_text(wanted.hexdigest(), encoding="utf-8")


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment."""
    folder = "Scripts" if os.name == "nt" else "bin"
    session.run(str(ROOT / ".nox" / "environment" / folder / program), *arguments, external=True)


@shared
@nox.parametrize("method", METHODS)
def bp4d(session: nox.Session, method: str) -> None:
    """Run one method on BP4D (or its stand-in), then rebuild the report; `nox -s bp4d` runs them all."""
    run(session, "malbench", "run", "bp4d", "--method", method, *session.posargs)
    session.notify("report", posargs=store_arguments(session.posargs))


@shared
def report(session: nox.Session) -> None:
    """Rebuild reports/ from finished trials, or from reports/results.parquet alone."""
    run(session, "malbench", "report", *session.posargs)


@shared
def smoke(session: nox.Session) -> None:
    """Some steps of every method, every part, with the paper's backbone, in a store of its own."""
    scratch = session.create_tmp()
    shutil.rmtree(Path(scratch) / "runs", ignore_errors=True)  # finished trials would be skipped
    run(session, "malbench", "run", "bp4d", "--profile", "smoke", "--runs", f"{scratch}/runs", *session.posargs)
    run(session, "malbench", "report", "--runs", f"{scratch}/runs", "--out", f"{scratch}/reports")


@shared
def tests(session: nox.Session) -> None:
    """Every test but the benchmarks."""
    run(session, "pytest", *session.posargs)


@shared
def lint(session: nox.Session) -> None:
    """ruff and mypy."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")
    run(session, "mypy")


def store_arguments(posargs: list[str]) -> list[str]:
    """The `--runs DIR` among the arguments of a run, for the report after it."""
    if "--runs" in posargs[:-1]:
        at = posargs.index("--runs")
        return posargs[at : at + 2]
    return [a for a in posargs if a.startswith("--runs=")]
