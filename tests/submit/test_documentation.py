"""docs/submit.md and docs/predict.md are true: the table of columns, the example, and the options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.cli.options import DEFAULT_REPORTS
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.datasets.gft.protocol import GFT
from benchmark.submit.adapters import adapter_names, open_adapter
from benchmark.submit.base import Adapter, Scale
from tests.docs.test_commands import parse

DOCS = Path(__file__).parents[2] / "docs"
SUBMIT = (DOCS / "submit.md").read_text(encoding="utf-8")
DATASETS = {"BP4D": BP4D, "DISFA": DISFA, "GFT": GFT}


def lacks(scale: Scale) -> str:
    missing = {title: [au for au in protocol.aus if au not in scale.columns] for title, protocol in DATASETS.items()}
    return "; ".join(f"{title}: {', '.join(map(str, aus))}" for title, aus in missing.items() if aus) or "-"


@pytest.mark.parametrize("name", adapter_names())
def test_the_table_has_the_columns_of_each_adapter_and_what_it_lacks(name: str) -> None:
    (row,) = (line for line in SUBMIT.splitlines() if line.startswith(f"| `{name}` |"))
    _, presence, without, intensity, given = (cell.strip() for cell in row.strip("|").split("|"))
    adapter = open_adapter(name)
    for scale, said, missing in (
        (adapter.scale(by_threshold=False), presence, without),
        (adapter.scale(by_threshold=True), intensity, given),
    ):
        assert said.startswith(f"`{next(iter(scale.columns.values()))}`: {scale.low:g} ")
        assert f"{scale.high:g}" in said
        assert missing == lacks(scale)


def test_the_example_is_an_adapter() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", SUBMIT, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "docs/submit.md", "exec"), names)  # noqa: S102 - our own documentation
    made = names["MyTool"]
    assert isinstance(made, type)
    assert issubclass(made, Adapter)
    assert (made.name, made().scale(by_threshold=True).columns[12]) == ("mytool", "AU12")


@pytest.mark.parametrize(
    ("page", "command", "of_others"),
    [
        ("submit.md", "score", {"--method"}),
        ("predict.md", "predict", {"--all", "--data", "--method", "--part", "--seed"}),
    ],
)
def test_options_of_the_page_exist(page: str, command: str, of_others: set[str]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - of_others
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert said
    assert not {option for option in said if option not in shown}


def test_help_and_page_name_the_same_default_results() -> None:
    default = parse(["score"])["results"].relative_to(DEFAULT_REPORTS.parent).as_posix()
    assert f"Without it they are the\n  committed ones, `{default}`" in SUBMIT
    shown = CliRunner().invoke(app, ["score", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert f"none: {default}" in " ".join(shown.replace("│", " ").split())


def test_linked_pages_exist() -> None:
    for page in ("submit.md", "predict.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (DOCS / page).read_text(encoding="utf-8")):
            assert (DOCS / target).is_file(), target
