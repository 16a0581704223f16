"""The Python API: the script of docs/api.md, a network of the user's own, and names that load on first use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark import api
from benchmark.api.listener import Listener
from benchmark.core.errors import UserError
from benchmark.store.results import Results

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


def scripts() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def cache(shared_cache: Path) -> Path:
    return shared_cache


@pytest.fixture(scope="module")
def data(cache: Path) -> api.LoadedData:
    return api.load_data("bp4d", profile="smoke", cache=cache)


@pytest.mark.slow
def test_the_script_of_the_documentation_runs(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    names: dict[str, object] = {
        "store": tmp_path / "runs",
        "out": tmp_path / "out",
        "images": torch.zeros(2, 3, 32, 32),
    }
    for script in scripts():
        exec(compile(script, str(DOCS), "exec"), names)  # noqa: S102 - our own documentation
    assert "torch.Size([2, 12])" in capsys.readouterr().out
    results = names["results"]
    assert isinstance(results, Results)
    assert sorted(results.trials["method"]) == ["mal", "stl"]
    assert (tmp_path / "out" / "tables.md").is_file()


def test_the_first_four_tasks_take_at_most_fifteen_lines() -> None:
    code = [line for line in scripts()[0].splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 15


def test_a_network_of_the_users_own_trains_mal(data: api.LoadedData) -> None:
    cnn = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False),  # a bias before batch norm has no gradient
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2),
        nn.ReLU(),
    )
    before = [p.detach().clone() for p in cnn.parameters()]
    training = api.start_training("mal", data, backbone=cnn)
    scalars = training.steps(3)
    assert len(scalars) == 3
    assert all(torch.isfinite(torch.tensor(list(each.values()))).all() for each in scalars)
    assert all(not torch.equal(a, b) for a, b in zip(before, training.method.net.backbone.parameters(), strict=True))
    assert training.predict(torch.zeros(2, 3, 32, 32)).shape == (2, 12)


def test_steps_are_those_of_a_trial(data: api.LoadedData, tmp_path: Path, cache: Path) -> None:
    request = api.GridRequest(
        "bp4d",
        methods=("stl",),
        parts=("part1",),
        profile="smoke",
        runs=tmp_path,
        cache=cache,
        execution=api.Execution("cpu", 1),
    )
    (outcome,) = api.run(request)
    curves = api.read_results(tmp_path).curves
    training = api.start_training("stl", data)
    assert training.trial.key == outcome.trial.key
    made = training.steps(3)
    stored = curves[curves["series"] == "loss_au"].set_index("step")["value"]
    assert [made[step]["loss_au"] for step in stored.index] == stored.tolist()


def test_a_method_with_a_stage_says_what_to_do(data: api.LoadedData) -> None:
    with pytest.raises(UserError) as raised:
        api.start_training("l2t_ww", data)
    assert "api.run" in str(raised.value)


def test_the_library_tells_its_listener_and_prints_nothing(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    api.load_data("bp4d", profile="smoke", cache=cache, listener=Listener(note=notes.append))
    assert any("STAND-IN" in note for note in notes)
    assert capsys.readouterr().out == ""


def test_unknown_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError):
        api.nonsense  # noqa: B018
