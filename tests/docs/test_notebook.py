"""The teaching notebook runs, and shows what its words say. `nox -s docs` executes it with all its seeds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.docs.pages import ENDS, MOST_WORDS, ROOT, words

FILE = ROOT / "docs" / "notebooks" / "mal_in_ten_minutes.ipynb"
CELLS = json.loads(FILE.read_text(encoding="utf-8"))["cells"]
SEEDS = "SEEDS = (0, 1, 2)"


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """The notebook's names after all of its cells, with one seed."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    code = "\n".join(source(cell) for cell in CELLS if cell["cell_type"] == "code")
    assert SEEDS in code
    found: dict[str, Any] = {}
    exec(compile(code.replace(SEEDS, "SEEDS = (0,)"), str(FILE), "exec"), found)  # noqa: S102 - our own notebook
    pyplot.close("all")
    return found


@pytest.mark.slow
def test_the_second_task_harms_and_the_oracle_takes_the_harm_away(names: dict[str, Any]) -> None:
    (single,), (both,), (oracle,) = (names["scores"][name] for name in ("STL", "MTL", "oracle"))
    assert single > both + 0.5
    assert oracle > both + 0.5


@pytest.mark.slow
def test_three_ways_to_the_meta_gradient_agree(names: dict[str, Any]) -> None:
    assert names["error"] < 1e-6
    assert names["largest"] > 1e-3
    by_suite, other = (names["flat"](names[name]) for name in ("by_suite", "by_double_backward"))
    assert names["torch"].allclose(by_suite, other, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_mal_finds_the_misleading_images_and_the_shuffled_control_does_not(names: dict[str, Any]) -> None:
    share = {name: runs[0][1] for name, runs in names["selection"].items()}
    assert share["oracle"] == 0
    assert abs(share["noise"] - 1) < 0.1
    assert share["MAL"] < 0.6 < share["shuffled"]
    ((weight, clear),) = names["weights"]["MAL"]
    assert weight.median() < 0.2, "the expression task is turned down as a whole"
    assert clear[weight > 0.5].double().mean() > 0.75, "those that keep a high weight are clear"
    (mal,), (shuffled,), (both,) = (names["scores"][name] for name in ("MAL", "shuffled", "MTL"))
    assert mal > both + 0.5
    assert mal > shuffled + 0.5


def test_outputs_are_not_committed() -> None:
    """They would differ by machine; the site has those of its own execution."""
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_its_sentences_are_short() -> None:
    texts = [source(cell) for cell in CELLS if cell["cell_type"] == "markdown"]
    lines = [line for text in texts for line in text.replace("\n- ", "\n\n- ").split("\n\n")]
    long = [sentence for line in lines for sentence in ENDS.split(line) if words(sentence) > MOST_WORDS]
    assert long == []
