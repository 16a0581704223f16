"""The printed tables, their marks, and where they disagree with themselves."""

from __future__ import annotations

import pytest

from benchmark.core.errors import UserError
from benchmark.paper.audit import audit
from benchmark.paper.tables import best_of, paper_table, paper_tables


def test_tables_hold_what_is_printed() -> None:
    bp4d = paper_table("bp4d")
    assert (bp4d.number, bp4d.title, bp4d.folds) == (1, "BP4D", 3)
    assert bp4d.columns[0] == "AU1"
    assert bp4d.columns[-2:] == ("AU24", "ave")
    mal, gbn = bp4d.row("MAL"), bp4d.row("gBN")
    assert mal is not None
    assert gbn is not None
    assert mal.values["AU12"] == 88.3
    assert (mal.reported, mal.reference, mal.group) == (False, "", "multitask")
    assert gbn.reported
    assert gbn.values["AU1"] is None  # "-" in print
    assert gbn.values["ave"] == 57.0
    assert bp4d.row("nothing") is None
    assert [len(t.rows) for t in paper_tables().values()] == [14, 13, 8]
    assert [r.method for r in paper_table("gft").of_group("multitask")] == ["MTAN", "L2T-WW", "STL", "MTL", "MAL"]


def test_tables_cannot_be_changed() -> None:
    row = paper_table("bp4d").rows[0]
    with pytest.raises(TypeError):
        row.values["AU1"] = 1.0  # type: ignore[index]
    with pytest.raises(AttributeError):
        row.method = "x"  # type: ignore[misc]


def test_an_unknown_dataset_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no table for 'bp4e'") as caught:
        paper_table("bp4e")
    assert "bp4d" in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "group", "column", "methods"),
    [
        ("bp4d", "multitask", "AU10", {"MTAN"}),  # 83.1 over MAL's 82.8
        ("bp4d", "multitask", "AU2", {"L2T-WW", "MAL"}),  # a tie at 49.5
        ("bp4d", "multitask", "ave", {"MAL"}),
        ("bp4d", "au", "AU1", {"DSIN"}),  # 51.7, above every multi-task method too
        ("disfa", "au", "AU12", {"EAC-Net"}),
        ("disfa", "au", "AU1", {"SRERL"}),
        ("gft", "multitask", "AU12", {"MAL"}),
    ],
)
def test_marks_follow_the_rule(dataset: str, group: str, column: str, methods: set[str]) -> None:
    table = paper_table(dataset)
    assert table.best(group, column) == methods  # type: ignore[arg-type]
    expected = {"multitask": "bold", "au": "underline"}[group]
    for row in table.of_group(group):  # type: ignore[arg-type]
        assert table.mark(row, column) == (expected if row.method in methods else None)


def test_best_compares_as_printed() -> None:
    assert best_of({"a": 50.04, "b": 50.0, "c": 49.9}) == {"a", "b"}
    assert best_of({"a": None, "b": float("nan"), "c": 1.0}) == {"c"}
    assert best_of({"a": None}) == frozenset()
    assert best_of({}) == frozenset()


def test_audit_finds_averages_that_are_not() -> None:
    faults = {(f.table.dataset, f.method): f for f in audit().averages}
    eac = faults["disfa", "EAC-Net"]
    # (41.5 + 26.4 + 66.4 + 50.7 + 80.5 + 89.3 + 88.9 + 15.6) / 8 = 459.3 / 8 = 57.4125, printed 48.5
    assert eac.printed == 48.5
    assert eac.recomputed == pytest.approx(57.4125)
    assert eac.size == pytest.approx(-8.9125)
    assert not eac.rounding_explains
    # MAL on BP4D: the cells sum to 745.5, 745.5 / 12 = 62.125, printed 62.2: off by 0.075, which rounding allows.
    assert faults["bp4d", "MAL"].rounding_explains
    assert ("bp4d", "SRERL") not in faults  # 754.8 / 12 = 62.9
    assert ("bp4d", "gBN") not in faults  # no cells to average


def test_audit_finds_underlines_that_are_not_the_best() -> None:
    faults = {(f.table.dataset, f.column, f.method): f for f in audit().underlines}
    # BP4D AU4: DSIN 56.0 and SRERL 55.6 are both underlined in print.
    srerl = faults["bp4d", "AU4", "SRERL"]
    assert (srerl.stands_in, round(srerl.size, 1)) == ("print", 0.4)
    assert ("bp4d", "AU4", "DSIN") not in faults
    # DISFA AU12: EAC-Net 89.3, next OFS-CNN 75.8; print underlines none.
    eac = faults["disfa", "AU12", "EAC-Net"]
    assert (eac.stands_in, round(eac.size, 1)) == ("rule", 13.5)
    # GFT AU6: TAE 76.7 is underlined beside ResNet-50's 79.1.
    assert round(faults["gft", "AU6", "TAE"].size, 1) == 2.4


def test_audit_of_a_consistent_table_is_empty() -> None:
    bp4d = paper_table("bp4d")
    by_rule = frozenset(("bp4d", m, c) for c in bp4d.columns for m in bp4d.best("au", c))
    assert audit([bp4d], by_rule).underlines == ()
