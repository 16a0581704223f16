"""The page on MAL's cost: ratios by hand, nothing shown that was not measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.core.errors import UserError
from benchmark.core.places import PROJECT
from benchmark.report.cost import (
    FORMS,
    GRAPH_KEPT,
    STEPS_OF_A_FOLD,
    Costs,
    cost_figure,
    read_benchmarks,
    read_costs,
    write_costs,
)

TEMPLATES = PROJECT / "templates"
SECONDS = dict(zip(FORMS, (1.0, 4.5, 4.2, 7.0, 6.5, 6.0), strict=True))
MEMORY = dict(zip(FORMS, (400, 800, 1200, 1600, 1500, 1450), strict=True))
PASSES = dict(zip(FORMS, (3.0, 13.8, 12.8, 15.9, 15.9, 15.9), strict=True))


MADE = {"machine": "A CPU, Linux, Python 3.11.2", "versions": "torch 2.14.1"}


def row(table: str, form: str, seconds: float = 1.0, **more: object) -> dict[str, object]:
    known = {"table": table, "form": form, "px": 64, "au": 64, "fe": 64, "val": 256, "threads": 2}
    measured = {"peak_mb": MEMORY[form], "forward_passes": PASSES[form]}
    return {**known, **measured, **MADE, "seconds": seconds, **more}


def rows() -> list[dict[str, object]]:
    virtual = [
        {"table": "virtual_step", "option": option, "seconds": s, **MADE}
        for option, s in (("loop", 0.015), ("foreach", 0.009))
    ]
    return [
        *(row("step", form, SECONDS[form]) for form in FORMS),
        row("options", "MAL", 2.25, amp=True, option="bf16", gradient_error=0.025),
        row("curves", "MAL", 2.0, val=64, au=32),
        row("memory", "MAL by double backward", 0.0, peak_mb=15_872, px=224),
        row("memory", "MAL", 0.0, peak_mb=10_240, px=224),
        *virtual,
    ]


def benchmarks(file: Path, found: list[dict[str, object]]) -> Path:
    """As pytest-benchmark writes it."""
    each = []
    for measured in found:
        info = {k: v for k, v in measured.items() if k != "seconds"}
        s = measured["seconds"]
        each.append({"extra_info": info, "stats": {"min": s, "median": s, "rounds": 5}})
    machine = {"cpu": {"brand_raw": "A CPU"}, "system": "Linux", "python_version": "3.11.2", "node": "secret"}
    file.write_text(json.dumps({"machine_info": machine, "benchmarks": each}))
    return file


def page(tmp_path: Path, found: list[dict[str, object]]) -> str:
    tmp_path.mkdir(exist_ok=True)
    costs = read_benchmarks([benchmarks(tmp_path / "a.json", found)])
    write_costs(costs, tmp_path / "out", templates=TEMPLATES)
    return (tmp_path / "out" / "cost.md").read_text()


def test_ratios(tmp_path: Path) -> None:
    text = page(tmp_path, rows())
    line = next(line for line in text.splitlines() if line.startswith("| MAL  "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["MAL", "4.50", "4.50", "4.50", "4.60", "13.80", "800", "0.50"]
    assert "MAL / fastest library (TorchOpt): 0.75 of the time (counted operations: 0.87)" in text
    assert "MAL / library with least memory (TorchOpt): 0.55 of it. MAL / MTL: 4.50, counted 4.60" in text
    assert "would count 10.8, 0.68 of the library's" in text  # 12.8 - 1.97, of 15.9
    assert "MAL / double backward: 0.64 of the time, 0.50 of the memory" in text
    assert "bf16 (meta-gradient off by 2.5 %)" in text
    assert "A CPU, Linux, Python 3.11.2" in text
    assert "secret" not in text


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    text = page(tmp_path, rows())
    gpu = text[text.index("On a GPU") :]
    assert gpu.count("not measured") == 10  # six forms in single precision, four reduced
    memory = text[text.index("## The paper's size") : text.index("On a GPU")]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in memory.splitlines() if "| MAL" in line]
    assert lines == [["MAL by double backward", "fp32", "15.5", "no"], ["MAL", "fp32", "10.0", "yes"]]


def gpu(form: str, seconds: float, **more: object) -> dict[str, object]:
    made = {"machine": "A GPU, Linux, Python 3.12.3", "device": "cuda", "px": 224, "peak_mb": 10_240}
    return row("gpu", form, seconds, **{**made, **more})


def test_rows_of_a_gpu(tmp_path: Path) -> None:
    found = [gpu("MTL", 0.02), gpu("MAL", 0.1), gpu("MAL", 0.05, option="channels_last", peak_mb=12_000)]
    text = page(tmp_path, [*rows(), *found])
    gpus = [line for line in text[text.index("On a GPU") :].splitlines() if line.startswith("| MAL  ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in gpus]
    assert STEPS_OF_A_FOLD == 30 * 1450
    measured = ["MAL", "fp32", "", "100.0", "5.00", "4.60", "3,840", "10.0", "yes", "1.21"]
    assert cells[0] == measured
    assert cells[-1] == ["MAL", "fp32", "channels\\_last", "50.0", "2.50", "4.60", "7,680", "11.7", "no", "0.60"]
    assert "A GPU, Linux, Python 3.12.3; torch 2.14.1" in text


def test_the_gpus_ratios_in_words(tmp_path: Path) -> None:
    seconds = dict(zip(FORMS, (0.02, 0.09, 0.085, 0.15, 0.12, 0.11), strict=True))
    found = [gpu(form, s, peak_mb=MEMORY[form]) for form, s in seconds.items()]
    text = page(tmp_path, [*rows(), *found, gpu("MAL by TorchOpt", 0.1, option=GRAPH_KEPT)])
    assert "0.82 of the time of the fastest library (TorchOpt), 0.77 in its faster form" in text
    assert "0.85 of it with its graph kept; 4.50 MTL steps (counted 4.60); 0.50 of double backward's" in text


def test_rows_of_another_device_stay(tmp_path: Path) -> None:
    both = read_benchmarks([benchmarks(tmp_path / "a.json", [*rows(), gpu("MAL", 0.1)])])
    new = read_benchmarks([benchmarks(tmp_path / "b.json", [gpu("MAL", 0.2), gpu("MTL", 0.1)])]).beside(both)
    assert [each.fastest_s for each in new.rows_of("gpu")] == [0.2, 0.1]
    assert new.rows_of("step") == both.rows_of("step")


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_row_is_an_error(tmp_path: Path, form: str) -> None:
    found = [each for each in rows() if not (each["table"] == "step" and each["form"] == form)]
    with pytest.raises(UserError, match="not measured"):
        page(tmp_path, found)


def test_two_machines_are_an_error(tmp_path: Path) -> None:
    files = [benchmarks(tmp_path / f"{cpu}.json", [row("step", "MAL", machine=cpu)]) for cpu in "ab"]
    with pytest.raises(UserError, match="several machines"):
        read_benchmarks(files)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"machine_info": {}, "benchmarks": []}', "\x00"])
def test_a_file_of_something_else(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        read_benchmarks([file])
    with pytest.raises(UserError, match="cannot be read"):
        read_costs(file)


def test_two_versions_are_an_error(tmp_path: Path) -> None:
    found = [row("step", "MAL"), row("step", "MTL", versions="torch 2.13.0")]
    with pytest.raises(UserError, match="several machines"):
        read_benchmarks([benchmarks(tmp_path / "a.json", found)])


def test_the_kept_rows_give_the_same_page(tmp_path: Path) -> None:
    first = page(tmp_path, rows())
    kept = read_costs(tmp_path / "out" / "cost.json")
    assert isinstance(kept, Costs)
    write_costs(kept, tmp_path / "again", templates=TEMPLATES)
    assert (tmp_path / "again" / "cost.md").read_text() == first


def test_the_committed_page_is_that_of_the_committed_rows(tmp_path: Path) -> None:
    write_costs(read_costs(PROJECT / "reports" / "cost.json"), tmp_path, templates=TEMPLATES)
    assert (tmp_path / "cost.md").read_text() == (PROJECT / "reports" / "cost.md").read_text()


def test_the_table_of_families_by_hand(tmp_path: Path) -> None:
    """Each memory format beside its own MTL; the fastest library; no library where none was measured."""
    known = {"backbone": "vit", "gradient_error": 2e-6}
    families = [
        row("families", "MTL", 1.0, backbone="vit", forward_passes=3.0),
        row("families", "MAL", 4.4, **known, forward_passes=12.0, peak_mb=300),
        row("families", "MAL by higher", 6.0, **known),
        row("families", "MAL by TorchOpt", 5.5, **known, peak_mb=600),
        row("families", "MTL", 0.5, backbone="vit", forward_passes=3.0, option="channels_last"),
        row("families", "MAL", 2.0, **known, forward_passes=12.0, peak_mb=310, option="channels_last"),
    ]
    text = page(tmp_path, [*rows(), *families])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| vit")]
    assert lines == [
        ["vit", "contiguous", "4.40", "4.00", "1.10", "TorchOpt", "0.80", "300", "0.50", "2e-06"],
        ["vit", r"channels\_last", "4.00", "4.00", "1.00", "-", "-", "310", "-", "2e-06"],
    ]
    assert "MAL on every backbone" not in page(tmp_path, rows())


def test_the_figure_has_a_title_and_names_the_machine(tmp_path: Path) -> None:
    costs = read_benchmarks([benchmarks(tmp_path / "a.json", rows())])
    figure = cost_figure(costs.rows_of("curves"))
    assert figure is not None
    assert figure.get_suptitle() == "One training step of MAL in each form, and of MTL: 64 px"
    assert figure.get_supxlabel() == MADE["machine"]


def test_nothing_measured_is_not_drawn(tmp_path: Path) -> None:
    assert "figures/cost.png" in page(tmp_path / "with", rows())
    assert (tmp_path / "with" / "out" / "figures" / "cost.png").is_file()
    assert "figures/cost.png" not in page(tmp_path / "without", [each for each in rows() if each["table"] != "curves"])
    assert not (tmp_path / "without" / "out" / "figures").exists()
