"""The table of what the paper leaves open is that of the suite."""

from __future__ import annotations

import re

from pydantic import BaseModel

from benchmark.config.profile import load_profile
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
    """Whether a profile, or a method, has the setting."""
    *path, key = name.split(".")
    if path[0] in ("methods", "method"):
        return key in discover()[path[1] if path[0] == "methods" else "mtl"].HParams.model_fields
    at: object = load_profile("paper")[0]
    for step in path:
        at = getattr(at, step)
    return key in type(at).model_fields if isinstance(at, BaseModel) else False


def test_the_settings_of_the_table_exist() -> None:
    assert len(settings()) > 20
    assert [name for name in settings() if not has_setting(name)] == []
    assert not has_setting("methods.mal.no_such")
    assert not has_setting("data.no_such")
