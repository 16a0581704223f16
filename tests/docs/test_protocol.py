"""The table of what the paper leaves open is that of the suite."""

from __future__ import annotations

import re

from benchmark.config.names import dataset_names
from benchmark.config.settings import Profile
from benchmark.datasets import registered_class
from benchmark.paper.tables import ambiguities
from methods import discover
from tests.docs.pages import ROOT

TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| A\d+ \|", line)]


def test_every_open_question_has_a_row() -> None:
    assert [row[0] for row in ROWS] == [ambiguity.id for ambiguity in ambiguities()]


def settings() -> list[str]:
    """Settings that the table names; further keys of one section are separated by spaces."""
    named = []
    for row in ROWS:
        for code in re.findall(r"`([^`]+)`", row[2]):
            first, *others = code.split()
            named += [first, *(f"{first.rpartition('.')[0]}.{key}" for key in others)]
    return named


def has_setting(name: str) -> bool:
    """Whether a profile, a method or a dataset has the setting."""
    section, *path, key = name.split(".")
    if section in ("method", "methods"):
        return key in discover()[path[0] if path else "mtl"].HParams.model_fields
    at = registered_class(section).Settings if section in dataset_names() else Profile
    for step in path if section in dataset_names() else (section, *path):
        at = type(getattr(at.model_construct(), step))
    return key in at.model_fields


def test_the_settings_of_the_table_exist() -> None:
    assert len(settings()) > 20
    assert [name for name in settings() if not has_setting(name)] == []
    assert not has_setting("methods.mal.no_such")
    assert not has_setting("data.no_such")
