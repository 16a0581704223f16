"""Citation, changelog and issue templates: valid, and in step with the suite."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT
from tests.docs.test_commands import faults, malbench_calls

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
FORMS = [file for file in TEMPLATES if file.name != "config.yml"]
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def load(path: Any) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_the_citation_is_that_of_the_project() -> None:
    cited = load(ROOT / "CITATION.cff")
    assert re.fullmatch(r"1\.2\.\d", cited["cff-version"])
    assert {"message", "title", "authors"} <= cited.keys(), "the format asks for them"
    assert cited["title"] == PROJECT["name"]
    assert str(cited["version"]) == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    (paper,) = cited["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["url"] == PROJECT["urls"]["Paper"]


def test_the_changelog_has_the_version_of_the_project() -> None:
    titles = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert PROJECT["version"] in titles
    numbers = [tuple(map(int, title.split("."))) for title in titles]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_a_form_asks_for_something(file: Any) -> None:
    form = load(file)
    assert form["name"]
    assert form["description"]
    assert {part["type"] for part in form["body"]} <= KINDS
    questions = [part for part in form["body"] if part["type"] != "markdown"]
    names = [part["id"] for part in questions]
    assert len(set(names)) == len(names)
    assert any(part.get("validations", {}).get("required") for part in questions)


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_commands_of_a_form_exist(file: Any) -> None:
    shown = re.findall(r"`(malbench [^`]+)`", file.read_text(encoding="utf-8"))
    assert [fault for line in shown for call in malbench_calls(line) for fault in faults(call)] == []


def test_there_are_forms() -> None:
    assert len(FORMS) >= 3
