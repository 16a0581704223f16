"""Sessions: the main job, reports, smoke runs, tests, lint. All share one environment, with one copy of torch."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["bp4d"]
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
ENVIRONMENT = ".nox/malbench"
# Every file of methods/ that registers a method is one isolated session; no import, so torch need not be installed yet.
METHODS = [
    nox.param(p.stem, id=p.stem)
    for p in sorted((ROOT / "methods").glob("*.py"))
    if re.search(r"^@register\(", p.read_text(encoding="utf-8"), flags=re.MULTILINE)
]

shared = nox.session(venv_location=ENVIRONMENT, reuse_venv=True)


def install(session: nox.Session) -> None:
    """Install the suite once; again only when its requirements change."""
    wanted = hashlib.sha256(
        b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.lock"))
    ).hexdigest()
    stamp = Path(session.virtualenv.location) / "malbench-requirements"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        session.install("--constraint", "requirements.lock", "--editable", ".[dev]")
        stamp.write_text(wanted, encoding="utf-8")


@shared
@nox.parametrize("method", METHODS)
def bp4d(session: nox.Session, method: str) -> None:
    """Run one method on BP4D (or its stand-in), then rebuild the report; `nox -s bp4d` runs them all."""
    install(session)
    session.run("malbench", "run", "bp4d", "--method", method, *session.posargs)
    session.notify("report", posargs=store_arguments(session.posargs))


@shared
def report(session: nox.Session) -> None:
    """Rebuild reports/ from finished trials, or from reports/results.parquet alone."""
    install(session)
    session.run("malbench", "report", *session.posargs)


@shared
def smoke(session: nox.Session) -> None:
    """Some steps of every method, every part, with the paper's backbone, in a store of its own."""
    install(session)
    scratch = session.create_tmp()
    session.run("malbench", "run", "bp4d", "--profile", "smoke", "--runs", f"{scratch}/runs", *session.posargs)
    session.run("malbench", "report", "--runs", f"{scratch}/runs", "--out", f"{scratch}/reports")


@shared
def tests(session: nox.Session) -> None:
    """Every test but the benchmarks."""
    install(session)
    session.run("pytest", *session.posargs)


@shared
def lint(session: nox.Session) -> None:
    """ruff and mypy."""
    install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


def store_arguments(posargs: list[str]) -> list[str]:
    """The `--runs DIR` among the arguments of a run, for the report after it."""
    if "--runs" in posargs[:-1]:
        at = posargs.index("--runs")
        return posargs[at : at + 2]
    return [a for a in posargs if a.startswith("--runs=")]
