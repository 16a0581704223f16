"""The command line: `malbench demo | run | report | predict | study | status | verify | data | methods | ...`.

Modules here hold signatures and messages. Each command imports the rest inside its function, so that
`malbench --help`, a misspelt name and `malbench status` start without torch.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from benchmark import __version__
from benchmark.cli import (
    audit,
    claims,
    cross,
    data,
    demo,
    metrics,
    predict,
    report,
    run,
    score,
    splits,
    status,
    study,
)
from benchmark.cli.calls import CALL_ERROR, HELP_INSTEAD, Command, Group, Printing, mistake_of
from benchmark.cli.streams import BROKEN_PIPE, OutputClosed, ending_on_sigterm, prepare_streams
from benchmark.core.errors import UserError

USER_MISTAKE = 2
"""Exit status of a user error; a signal ends with 128 + its number: 130 for SIGINT, 143 for SIGTERM."""

PROGRAM = "malbench"
"""Name of the program in usages, messages and shell completion, however it was started."""

PRINTING = (
    claims.claims,
    report.calibrate,
    report.compute,
    audit.audit,
    status.status,
    status.methods,
    status.datasets,
    data.check,
    data.doctor,
)
"""Commands that only print."""

app = typer.Typer(
    help="Reproducibility benchmark for Meta Auxiliary Learning for Facial Action Unit Detection (Li & Shan, 2021).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    cls=Group,
)
for command in (
    demo.demo,
    run.run,
    report.report,
    study.study,
    study.gradient_probe,
    study.readings,
    run.verify,
    predict.predict,
    score.score,
    claims.claims,
    report.calibrate,
    report.compute,
    audit.audit,
    report.cost,
    metrics.metrics,
    splits.splits,
    cross.cross,
    status.status,
    status.methods,
    status.datasets,
):
    app.command(cls=Printing if command in PRINTING else Command)(command)
data_app = typer.Typer(
    help="Write the stand-in; recognise, check or prepare a data root.", no_args_is_help=True, cls=Group
)
for data_command in (data.standin, data.sheet, data.check, data.doctor, data.prepare, data.import_lists):
    data_app.command(cls=Printing if data_command in PRINTING else Command)(data_command)
app.add_typer(data_app, name="data")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"malbench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Reproducibility benchmark for Meta Auxiliary Learning for Facial Action Unit Detection (Li & Shan, 2021)."""


def main() -> None:
    """Run the command line; a user error is printed as one block and ends with status 2."""
    before = sys.stdout
    prepare_streams()
    # A command draws into files alone, and must not depend on what the user's notebooks draw with.
    os.environ["MPLBACKEND"] = "agg"
    try:
        try:
            with ending_on_sigterm():
                status = app(prog_name=PROGRAM, standalone_mode=False)
        finally:
            sys.stdout.flush()  # at the end of the interpreter it would be too late to say that nobody reads it
        if status:
            sys.exit(status)
    except CALL_ERROR as error:
        if type(error).__name__ == HELP_INSTEAD:
            sys.exit(USER_MISTAKE)
        _fail(mistake_of(error))
    except OutputClosed as error:
        _fail(error, BROKEN_PIPE)
    except UserError as error:
        _fail(error)
    except OSError as error:
        _fail(
            UserError(
                f"the system refuses: {error.strerror or error}",
                where=error.filename,
                remedy="check that the path is what you meant, may be written, and that the disk is not full",
            )
        )
    except (MemoryError, RuntimeError) as error:
        from benchmark.trials.memory import is_out_of_memory, too_little_memory  # imports torch

        if not is_out_of_memory(error):
            raise
        _fail(too_little_memory(error))
    finally:
        sys.stdout = before if before is not None else sys.stdout


def _fail(error: UserError, status: int = USER_MISTAKE) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(status)
