"""The cost of the paper's grid in docs/scale.md follows from the committed cost table."""

from __future__ import annotations

import re

from tests.docs.pages import committed_text, flowing, rows_below, text_of

PAGE = "docs/scale.md"


def steps_of_mtl() -> dict[str, float]:
    """Steps of MTL that a step of each method takes, as the page says."""
    rows = {row[0]: row[1] for row in rows_below(text_of(PAGE), "The paper's grid") if len(row) == 3}
    return {name: float(rows[name].split()[0]) for name in ("STL", "MTAN", "L2T-WW", "MAL")}


def test_steps_are_those_of_the_cost_table_of_bp4d() -> None:
    section = committed_text("reports/tables.md").split("### Cost\n")[1].split("\n#")[0]
    rows = rows_below(f"# Cost\n{section}", "Cost")
    head, ms = rows[0], {row[0].split(" (")[0]: row for row in rows[1:]}
    column = head.index("time per step (ms)")
    taken = {name: float(row[column]) for name, row in ms.items()}
    said = steps_of_mtl()
    for name in ("STL", "MTAN", "L2T-WW"):
        assert said[name] == round(taken[name] / taken["MTL"], 1), name


def test_the_hours_follow_from_the_steps() -> None:
    said = steps_of_mtl()
    steps = 300_360 * (1 + sum(said.values())) + 65_250 * said["STL"]
    (rounded,) = re.findall(r"3600 = ([\d,]+) x seeds", flowing(PAGE))
    assert int(rounded.replace(",", "")) == round(steps / 3600, -1)
    (seconds, hours) = re.findall(r"it is ([\d.]+) s: (\d+) hours a seed", flowing(PAGE))[0]
    assert int(hours) == round(steps / 3600 * float(seconds))
