"""Names in any case, completion by the shell, the help at 80 columns, and progress where there is no terminal."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmark import __version__, datasets
from benchmark.api.request import METHOD_SETS
from benchmark.cli import app, console
from benchmark.cli.calls import CALL_ERROR
from benchmark.cli.claims import reasons, totals
from benchmark.cli.names import METHOD_SETS as NAMED_SETS
from benchmark.cli.names import PARTS, au_datasets
from benchmark.config.profile import load_profile
from methods import names
from tests.cli.conftest import Malbench
from tests.docs.test_commands import command_line, parse
from tests.integrity.stores import finish, finished_store

COMPLETED = {
    ("run", ""): {"bp4d", "disfa", "gft"},
    ("run", "bp4d", "--method", "ma"): {"majority", "mal"},
    ("run", "bp4d", "--method", "pap"): {"paper"},
    ("run", "bp4d", "--part", "part"): {"part1", "part2", "part3"},
    ("run", "bp4d", "--profile", ""): {"paper", "smoke", "standin"},
    ("study", ""): {"decisive", "harm", "tuning"},
    ("cross", "--methods", "stl,mta"): {"stl,mtan"},
    ("score", "--from", "openface"): {"openface2", "openface3"},
    ("data", "check", "g"): {"gft"},
    ("methods", "fe"): {"fe_source"},
}


def completed(*words: str) -> tuple[set[str], list[str]]:
    """Words that bash is offered for the last one, and the heavy packages that were imported for it."""
    program = (
        "import sys\nfrom benchmark.cli import main\ntry:\n    main()\n"
        "finally:\n    print([m for m in ('torch', 'pandas', 'timm') if m in sys.modules], file=sys.stderr)"
    )
    asked = {
        "_MALBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["malbench", *words]),
        "COMP_CWORD": str(len(words)),
    }
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    return set(ended.stdout.split()), json.loads(ended.stderr.strip().splitlines()[-1].replace("'", '"'))


@pytest.mark.parametrize("words", COMPLETED, ids=" ".join)
def test_the_shell_completes_names_without_torch(words: tuple[str, ...]) -> None:
    assert completed(*words) == (COMPLETED[words], [])


def test_completion_is_shown_and_installed(tmp_path: Path) -> None:
    where = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    call = [sys.executable, "-m", "benchmark.cli"]
    shown = subprocess.run(
        [*call, "--show-completion", "bash"], env=where, capture_output=True, text=True, check=True
    ).stdout
    assert "_MALBENCH_COMPLETE=complete_bash" in shown
    subprocess.run([*call, "--install-completion", "bash"], env=where, capture_output=True, check=True)
    assert "malbench" in (tmp_path / ".bashrc").read_text()


def test_names_are_those_of_the_suite() -> None:
    profile, _ = load_profile("smoke")
    assert set(PARTS) == {part for name in au_datasets() for part in datasets.open_au(name, profile).protocol.parts}
    assert set(NAMED_SETS) == set(METHOD_SETS)


def test_names_in_any_case() -> None:
    read = parse(["run", "BP4D", "--method", "MAL", "--method", "L2T-WW", "--part", "Part1", "--profile", "Smoke"])
    assert [read[name] for name in ("dataset", "method", "part", "profile")] == [
        "bp4d",
        ["mal", "l2t_ww"],
        ["part1"],
        "smoke",
    ]
    assert parse(["cross", "--train", "BP4D,Disfa", "--methods", "STL, MAL"])["train"] == "bp4d,disfa"
    assert parse(["cross", "--methods", "STL, MAL"])["methods"] == "stl,mal"
    assert parse(["status", "--dataset", "GFT", "--method", "FE_source"])["method"] == "fe_source"
    assert parse(["methods", "MTAN"])["name"] == ["mtan"]
    assert parse(["study", "DECISIVE"])["plan"] == "decisive"
    assert parse(["score", "f.csv", "DISFA"])["dataset"] == "disfa"
    assert parse(["run", "Mine"])["dataset"] == "Mine"  # a dataset of the user's own


COMMANDS = [(name,) for name in command_line().commands if name != "data"] + [
    ("data", name) for name in command_line().commands["data"].commands
]


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_help_fits_a_terminal_and_shows_switches_as_switches(
    command: tuple[str, ...], malbench: Malbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = malbench(*command, "--help")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert not re.search(r"<(bool|str|Path|list)", out), out
    assert str(Path(__file__).parents[2]) not in out  # a path of this machine says nothing, and would be cut


def test_help_lists_methods_datasets_and_parts(malbench: Malbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = " ".join(re.sub("[│╭╰─]", " ", malbench("run", "--help")[1]).split())
    for name in (*names("paper"), *names("beyond"), *names("control"), *au_datasets(), *PARTS):
        assert re.search(rf"\b{name}\b", shown), name


def test_the_version(malbench: Malbench) -> None:
    assert malbench("--version")[:2] == (0, f"malbench {__version__}\n")


def test_an_error_of_the_parser_is_known_by_its_class() -> None:
    with pytest.raises(CALL_ERROR):
        app(["run"], standalone_mode=False)


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    said, now = io.StringIO(), 0.0
    lines = console.Lines(Console(file=said, width=200), clock=lambda: now)
    for done in range(1, 101):
        now += 1.0
        lines("packing bp4d", done, 100)
    lines("packing bp4d", 100, 100)  # told again by whoever counts
    rows = said.getvalue().splitlines()
    assert rows[0] == "packing bp4d: 1 of 100"
    assert rows[1] == f"packing bp4d: {1 + round(console.LINE_S)} of 100"
    assert rows[-1] == "packing bp4d: 100 of 100"
    assert len(rows) == len(set(rows)) == 1 + 100 // round(console.LINE_S)


def test_a_log_has_lines_and_a_terminal_has_bars() -> None:
    said = io.StringIO()
    with console.listening(Console(file=said, width=200)) as listener:
        listener.progress("drawing faces", 1, 3)
        listener.note("on the stand-in")
        listener.note("on the stand-in")
        listener.note("another thing")
    assert said.getvalue().splitlines() == ["drawing faces: 1 of 3", "on the stand-in", "another thing"]
    with console.progress_bars(Console(file=io.StringIO(), force_terminal=True)) as bars:
        assert isinstance(bars, console.Bars)


def test_status_shows_whole_keys_and_what_is_done(
    malbench: Malbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folders = [finish(tmp_path / "runs", method) for method in ("stl", "mal")]
    (folders[0].path / "DONE").unlink()
    (folders[0].path / "ERROR.txt").write_text("training diverged at step 7, and this is a long reason " * 3)
    (folders[0].path / ".lock").touch()
    status, out, _ = malbench("status")
    assert status == 0
    for folder in folders:
        assert folder.path.name[-16:] in out
    assert out.splitlines()[-1] == "2 trials: 1 done, 1 failed"
    assert max(map(len, out.splitlines())) <= 80
    assert malbench("status", "--method", "mal")[1].splitlines()[-1] == "1 trial: 1 done"


def test_claims_end_with_totals_and_tell_a_reason_once(malbench: Malbench, tmp_path: Path) -> None:
    finished_store(tmp_path / "runs")
    status, out, _ = malbench("claims")
    assert status == 0
    lines = out.splitlines()
    assert lines[-2] == "33 claims on the printed tables: 21 yes, 1 no, 5 by one reading alone, 6 cannot say"
    assert lines[-1].startswith("33 claims on our runs, stand-in, profile smoke; other data (stand-in): ")
    numbers = [int(number) for number in re.findall(r"(\d+) (?:yes|no|by|cannot)", lines[-1])]
    assert sum(numbers) == 33
    together = [line for line in lines if "nothing was run on DISFA" in line]
    assert len(together) == 1
    assert "C02, C05, C08" in together[0]
    assert malbench("claims", "--paper")[1].splitlines()[-1] == lines[-2]
    assert (reasons(()), totals(())) == (
        {},
        ["0 claims on the printed tables: 0 yes, 0 no, 0 by one reading alone, 0 cannot say"],
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("mal", "--profile", "standin"), "lr = 0.006: "),
        (("mal", "--profile", "paper"), "lr = 0.001: "),
        (("--profile", "standin"), "profile standin, lr = 0.003 where none is named;"),
    ],
)
def test_methods_show_the_learning_rate_of_the_profile_in_use(
    malbench: Malbench, call: tuple[str, ...], said: str
) -> None:
    status, out, _ = malbench("methods", *call)
    assert (status, said in out) == (0, True), out


def test_methods_that_learn_nothing_show_no_learning_rate(malbench: Malbench) -> None:
    assert "settings:" not in malbench("methods", "all_positive")[1]


def test_methods_count_parameters_for_the_profile_in_use(
    malbench: Malbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parameters(*arguments: str) -> int:
        return json.loads(malbench("methods", "stl", "--json", *arguments)[1])[0]["parameters"]

    small, large = parameters("--profile", "standin"), parameters("--profile", "paper")
    assert small < large
    assert parameters() == small
    monkeypatch.setenv("MALBENCH_DATA", str(tmp_path))
    assert parameters() == large


def test_a_path_with_brackets_is_told_whole(malbench: Malbench, tmp_path: Path) -> None:
    out = tmp_path / "[red]mine"
    status, said, _ = malbench("cost", "--out", out)
    assert status == 0
    assert f"wrote {out / 'cost.md'}" in said


@pytest.mark.parametrize("words", [("help",), ("help", "run"), ("data", "help"), ("data", "help", "check")])
def test_help_is_a_command_too(words: tuple[str, ...], malbench: Malbench) -> None:
    asked = [word for word in words if word != "help"]
    assert malbench(*words) == malbench(*asked, "--help")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told_in_own_words(malbench: Malbench) -> None:
    status, _, error = malbench("run", "bp4d", "--device", "cuda")
    assert (status, "http" in error) == (2, False)
    assert "found:    cpu alone: no GPU, or no driver for it" in error


def test_a_method_lists_each_setting_once_and_names_its_source(malbench: Malbench) -> None:
    status, out, _ = malbench("methods", "mal", "--profile", "smoke")
    assert status == 0
    assert out.count("beta = ") == out.count("lr = ") == 1
    assert "  source: Li & Shan" in out
    assert "these are values of the profile smoke" in out
    assert out.splitlines()[-1] == "codes such as (A3) are readings of the paper: docs/protocol.md"
    assert "settings: " in malbench("methods", "--profile", "smoke")[1]  # of all methods: in one line each


def test_one_dataset_has_its_folder_and_its_page(malbench: Malbench) -> None:
    for name, folder in (("BP4D", "BP4D"), ("rafdb", "RAF-DB")):
        status, out, _ = malbench("datasets", name)
        lines = out.splitlines()
        assert (status, len(lines)) == (0, 3)
        assert lines[0].startswith(f"{name.lower()} (")
        assert lines[1] == f"  below the data root: {folder}/"
        page = lines[2].removeprefix("  page: ")
        assert (Path(__file__).parents[2] / page).is_file()
    assert [row["dataset"] for row in json.loads(malbench("datasets", "gft", "--json")[1])] == ["gft"]
    assert len(malbench("datasets")[1].splitlines()) > 4
