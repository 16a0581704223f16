"""Every command that a page shows is one that the command line, or nox, accepts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmark.cli import app
from benchmark.config.names import dataset_names
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.datasets import check_settings
from benchmark.study.plan import load_plan
from methods import Registry, discover
from tests.docs.pages import PAGES, ROOT, blocks, command_lines, inline, named_commands

ALL_PAGES = ("README.md", *PAGES)  # the changelog speaks of commands that are gone
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*(\.\w+)?|\.\.\.")
"""A word that stands for the reader's own."""
OF_EXAMPLES = {"halves", "talk", "disfaplus"}
"""Methods and datasets that a page's own example makes."""
GROUPS = {"paper", "beyond", "controls", "all"}
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""Every mistake in a call that the parser finds."""
RUN = (
    "malbench datasets",
    "malbench claims --paper",
    "malbench compute reports/results.parquet reports/study/*.parquet",
)
"""Commands of the pages that cost little; they are run as they stand."""


def malbench_calls(line: str) -> list[list[str]]:
    """Arguments of each `malbench` in a line of shell, with a number in place of N."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    calls: list[list[str]] = []
    inside = False
    for word in lexer:
        if word == "malbench" or word.endswith("/malbench"):
            calls.append([])
            inside = True
        elif set(word) <= set("|&;<>"):
            inside = False
        elif inside and word != "...":
            calls[-1].append("1" if word == "N" else word.strip("[]"))
    return calls


@cache
def command_line() -> Any:
    """The commands as Typer builds them."""
    return typer.main.get_command(app)


@cache
def registry() -> Registry:
    """All methods."""
    return discover()


def parse(arguments: list[str]) -> dict[str, Any]:
    """Parameters of a call as the command line's own parser reads them."""
    command, name, parent = command_line(), "malbench", None
    while True:
        context = command.make_context(name, arguments, parent=parent)
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not rest:
            return dict(context.params)
        name, command, arguments = command.resolve_command(context, rest)
        parent = context


def faults(arguments: list[str], *, whole: bool = True) -> list[str]:
    """Everything wrong with a call.

    Args:
        arguments: Words behind `malbench`.
        whole: Whether an argument may not be missing. A sentence that names a command leaves arguments out.
    """
    if "--install-completion" in arguments:
        return ["it would be installed for whoever runs the tests"]
    try:
        parameters = parse(arguments)
    except typer.Exit:  # --help and --version end here
        return []
    except (USAGE_ERROR, UserError) as error:
        missing = type(error).__name__ in ("MissingParameter", "BadOptionUsage")  # an argument; that of an option
        return [] if missing and not whole else [str(error) or type(error).__name__]
    wrong = []
    name = parameters.get("dataset") or "bp4d"
    if name not in {*dataset_names(), *OF_EXAMPLES} and not PLACEHOLDER.fullmatch(name):
        wrong.append(f"no dataset {name}")
    methods = {*registry(), *GROUPS, *OF_EXAMPLES}
    wrong += [f"no method {m}" for m in parameters.get("method") or [] if m not in methods and m != "NAME"]
    wrong += [fault for change in parameters.get("overrides") or [] for fault in setting_faults(change)]
    return wrong


def setting_faults(change: str) -> list[str]:
    """Everything wrong with a `--set KEY=VALUE`, unless the value is for the reader to fill in."""
    key, _, value = change.partition("=")
    if PLACEHOLDER.search(key) or value in ("VALUE", "N", "...") or key.startswith("datasets."):
        return []
    if key.startswith("methods."):
        cls = registry().any(key.split(".")[1])
        return [] if key.split(".")[2] in cls.HParams.model_fields else [f"no setting {key}"]
    try:
        check_settings(load_profile("standin", [change])[0])
    except UserError as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("page", ALL_PAGES)
def test_the_command_line_accepts_every_call(page: str) -> None:
    lines = dict.fromkeys(command_lines(page), True) | dict.fromkeys(named_commands(page), False)
    wrong = [
        f"{line}: {fault}"
        for line, whole in lines.items()
        for call in malbench_calls(line)
        for fault in faults(call, whole=whole)
    ]
    assert wrong == []


def named_settings(page: str) -> list[str]:
    """Every KEY=VALUE behind a `--set` in the sentences of a page."""
    codes = [child.content for token in inline(page) for child in token.children if child.type == "code_inline"]
    lines = [shlex.split(code) for code in codes if code.count("'") % 2 == 0 and code.count('"') % 2 == 0]
    return [after for line in lines for word, after in pairwise(line) if word == "--set" and after[:2] != "--"]


@pytest.mark.parametrize("page", ALL_PAGES)
def test_settings_that_a_page_names_exist(page: str) -> None:
    assert [fault for change in named_settings(page) for fault in setting_faults(change)] == []


def test_wrong_calls_are_noticed() -> None:
    assert malbench_calls("cat x | malbench report --out 'a b' && malbench status  # why") == [
        ["report", "--out", "a b"],
        ["status"],
    ]
    assert faults(["report", "--no-such-option"])
    assert faults(["no-such-command"])
    assert faults(["run"]), "the dataset is missing"
    assert faults(["run", "bp5d"]) == ["no dataset bp5d"]
    assert faults(["run", "bp4d", "--method", "mla"]) == ["no method mla"]
    assert faults(["run", "bp4d", "--set", "train.stepz=3"])
    assert faults(["run", "gft", "--set", "gft.colums=FILE"])
    assert faults(["run", "bp4d", "--set", "methods.mal.bta=3"]) == ["no setting methods.mal.bta"]
    assert faults(["data", "check", "bp4d", "--data", "ROOT"]) == []
    assert "gft.alignment=as_is" in named_settings("docs/data/gft.md")


@pytest.fixture(scope="module")
def sessions() -> set[str]:
    """Names of nox's sessions, without their parameters."""
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"^[*-] (\w+)", listed, flags=re.MULTILINE))


def test_sessions_that_pages_name_exist(sessions: set[str]) -> None:
    calls = [(page, line) for page in ALL_PAGES for line in [*command_lines(page), *named_commands(page)]]
    named = {
        (page, name)
        for page, line in calls
        for options in re.findall(r"\bnox -s ([^#;|&]*)", line)
        for name in shlex.split(options.split(" -- ")[0])
    }
    assert len(named) > 10
    unknown = {
        (page, name) for page, name in named if name.split("(")[0] not in sessions and not PLACEHOLDER.fullmatch(name)
    }
    assert unknown == set()


def names_in_first_cells(heading: str) -> set[str]:
    """Pieces of code in the first cells of the table under a heading of docs/commands.md."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def test_the_table_of_commands_is_complete() -> None:
    group = command_line()
    commands = {name for name in group.commands if name != "data"} | {
        f"data {n}" for n in group.commands["data"].commands
    }
    shown = names_in_first_cells("malbench")
    listed = {" ".join(re.match(r"malbench (data [a-z-]+|[a-z-]+)", code)[1].split()) for code in shown}
    assert listed == commands


def test_the_table_of_options_is_that_of_run() -> None:
    group = command_line()
    options = {option for parameter in group.commands["run"].params for option in parameter.opts if "--" in option}
    shown = {code.split()[0] for code in names_in_first_cells("Options of a run")}
    assert shown == options - {"--help"}


def test_the_table_of_sessions_is_complete(sessions: set[str]) -> None:
    assert names_in_first_cells("nox sessions") == sessions


@pytest.mark.parametrize("command", RUN)
def test_cheap_commands_run_as_they_stand(command: str) -> None:
    assert any(
        command in [*command_lines(page), *named_commands(page)] or command in "\n".join(command_lines(page))
        for page in PAGES
    ), "no page shows it"
    program = command.replace("malbench", f"{sys.executable} -m benchmark.cli", 1)
    ended = subprocess.run(
        ["sh", "-c", program],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout) > 100


def test_the_plan_of_the_study_page_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("docs/study.md", "toml")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert [question.name for question in load_plan(str(tmp_path / "mine.toml")).questions] == ["noisy"]


def test_the_script_of_the_model_card_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (script,) = blocks("docs/model-card.md", "python")
    exec(compile(script, "docs/model-card.md", "exec"), {})  # noqa: S102 - our own documentation
    assert "parameters" in capsys.readouterr().out
