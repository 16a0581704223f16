"""Calls that the parser reads: switches in the help, and mistakes in a call as the suite's own errors."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from benchmark.cli.streams import BROKEN_PIPE, OutputClosed
from benchmark.core.errors import UserError

CALL_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""Every mistake in a call that the parser finds."""
HELP_INSTEAD = "NoArgsIsHelpError"
"""Name of the parser's error after it has printed the help of a command that was called without arguments."""


def _without_value(params: list[Any]) -> list[Any]:
    """The parameters; the help shows no value beside a switch, which takes none, and none beside an argument's name."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: ""
    return params


@contextmanager
def _silent_if_closed() -> Iterator[None]:
    """End without a word if the reader of the output has gone: nothing but output is lost.

    Raises:
        typer.Exit: It has gone.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputClosed:
        raise typer.Exit(BROKEN_PIPE) from None


class Command(TyperCommand):
    """A command whose help shows switches as switches, and whose mistakes name it."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See `click.Command.get_params`."""
        return _without_value(super().get_params(ctx))

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """See `click.Command.make_context`, which prints the help."""
        with _silent_if_closed():
            return super().make_context(*arguments, **named)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        try:
            return super().parse_args(ctx, args)
        except CALL_ERROR as error:
            error.ctx = getattr(error, "ctx", None) or ctx  # type: ignore[attr-defined]
            raise


class Printing(Command):
    """A command that only prints: if the reader of its output goes, it ends without a word."""

    def invoke(self, ctx: Any) -> Any:
        """See `click.Command.invoke`."""
        with _silent_if_closed():
            return super().invoke(ctx)


class Group(TyperGroup):
    """A group of commands whose help shows switches as switches, and has a command `help`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """See `click.Command.get_params`."""
        return _without_value(super().get_params(ctx))

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """See `click.Command.make_context`, which prints the help."""
        with _silent_if_closed():
            return super().make_context(*arguments, **named)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`; `help run` is `run --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)


def mistake_of(error: Any) -> UserError:
    """A mistake in a call as the suite tells mistakes: where, what was expected and found, and the remedy.

    Args:
        error: Raised by the parser.
    """
    describe = _BY_KIND.get(type(error).__name__, _of_any_kind)
    context = getattr(error, "ctx", None)
    command = "malbench" if context is None else context.command_path
    return describe(error, command, context)


def _missing(error: Any, command: str, context: Any) -> UserError:
    name = _name_of(error.param)
    return UserError(
        f"{name} is missing", where=command, expected=_usage(context), remedy=f"`{command} --help` says what it is"
    )


def _no_such_option(error: Any, command: str, context: Any) -> UserError:
    known = [name for param in context.command.get_params(context) for name in param.opts if name.startswith("--")]
    return _unknown("option", error.option_name, known, command)


def _wrong_use(error: Any, command: str, context: Any) -> UserError:
    return UserError(
        error.message.replace(f"Option '{error.option_name}'", error.option_name).rstrip("."),
        where=command,
        remedy=f"`{command} --help` says what its options take",
    )


def _wrong_value(error: Any, command: str, context: Any) -> UserError:
    causes: list[Any] = getattr(error.__cause__, "errors", list)()
    return UserError(
        f"a wrong value for {_name_of(error.param)}" if error.param is not None else "a wrong value",
        where=command,
        expected=_told(error.message),
        found=repr(causes[0]["input"])[:80] if causes else None,
        remedy=f"correct it; `{command} --help` says what it is",
    )


def _told(message: str) -> str:
    """Expectation of the parser, without what it found."""
    choices = re.search(r"is not one of (.*?)\.?$", message)
    return f"one of {choices[1]}" if choices else message.partition(", unable")[0].removeprefix("Input should be ")


def _of_any_kind(error: Any, command: str, context: Any) -> UserError:
    commands = {} if context is None else getattr(context.command, "commands", {})
    quoted = error.format_message().split("'")
    if commands and len(quoted) > 1:
        return _unknown("command", quoted[1], commands, command)
    message = error.format_message().rstrip(".")
    surplus = re.fullmatch(r"Got unexpected extra argument\S* \((.*)\)", message)
    return UserError(
        f"unexpected argument: {surplus[1]}" if surplus else message,
        where=command,
        expected=None if context is None else _usage(context),
        remedy=f"leave it out; `{command} --help` shows how the command is called",
    )


_BY_KIND: dict[str, Callable[[Any, str, Any], UserError]] = {
    "MissingParameter": _missing,
    "NoSuchOption": _no_such_option,
    "BadOptionUsage": _wrong_use,
    "BadParameter": _wrong_value,
}
"""Descriptions by the name of the parser's class, which moves between modules from one version to the next."""


def _unknown(kind: str, name: str, known: Iterable[str], command: str) -> UserError:
    near = difflib.get_close_matches(name, list(known), n=1)
    suggested = f"did you mean {near[0]}? " if near else ""
    return UserError(
        f"there is no {kind} {name}", where=command, remedy=f"{suggested}`{command} --help` lists all {kind}s"
    )


def _usage(context: Any) -> str:
    usage = " ".join(context.get_usage().removeprefix("Usage:").split())
    return re.sub(r"\{(\w+)\}", r"\1", usage)


def _name_of(param: Any) -> str:
    """Name of an option, or of an argument as the usage shows it."""
    longest: str = max(param.opts, key=len)
    return longest if longest.startswith("-") else str(param.metavar or longest).upper()
