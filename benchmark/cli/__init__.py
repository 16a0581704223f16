"""The command line, a module a group of commands: `malbench run | report | study | status | data | methods | ...`."""

from __future__ import annotations

import sys
from typing import NoReturn

import torch
import typer

from benchmark.cli import data, report, run, status, study
from benchmark.core.errors import UserError
from benchmark.trials.runner import too_little_memory

USER_MISTAKE = 2
"""Exit status of a mistake; a run that a signal stopped has 128 + its number: 130 for SIGINT, 143 for SIGTERM."""

app = typer.Typer(
    help="Reproducibility benchmark for Meta Auxiliary Learning for Facial Action Unit Detection (Li & Shan, 2021).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    run.run,
    report.report,
    study.study,
    study.align,
    report.score,
    report.claims,
    report.cost,
    status.status,
    status.methods,
):
    app.command()(command)
data_app = typer.Typer(help="Write the stand-in; check or prepare a data root.", no_args_is_help=True)
for data_command in (data.standin, data.sheet, data.check, data.prepare):
    data_app.command()(data_command)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line; a mistake of the user is printed as one block and ends with status 2."""
    try:
        app()
    except UserError as error:
        _fail(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        _fail(too_little_memory(error))
    except OSError as error:
        _fail(
            UserError(
                f"the system refuses: {error.strerror or error}",
                where=error.filename,
                remedy="check that the path is what you meant, may be written, and that the disk is not full",
            )
        )


def _fail(error: UserError) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(USER_MISTAKE)
