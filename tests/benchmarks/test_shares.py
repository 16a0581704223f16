"""The table of a step's operations: kinds by the innermost known name, and a row for each method."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.benchmarks.shares import Shares, excess, kind_of, main


def event(*names: str) -> SimpleNamespace:
    """An event inside others, the innermost first."""
    parent = None
    for name in reversed(names):
        parent = SimpleNamespace(name=name, cpu_parent=parent)
    assert parent is not None
    return parent


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("aten::mkldnn_convolution", "aten::conv2d"), "convolutions"),
        (("aten::mul", "NativeBatchNormBackwardBackward0"), "batch norm"),
        (("aten::fill_", "aten::max_pool2d_with_indices_backward"), "ReLU, pooling"),
        (("aten::add", "Optimizer.step#Adam.step"), "optimiser"),
        (("aten::add",), "the rest"),
    ],
)
def test_kind_of_an_operation(names: tuple[str, ...], kind: str) -> None:
    assert kind_of(event(*names)) == kind


@pytest.mark.filterwarnings("ignore")
def test_a_table_of_two_methods(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("standin.size=20", "data.frame_size=18", "data.crop_size=16", "train.batch_au=4", "train.batch_fe=4")
    words = [word for setting in (*small, "standin.fe_train=60") for word in ("--set", setting)]
    main(["--method", "stl", "--method", "mtl", "--steps", "1", *words])
    header, _, stl, mtl = capsys.readouterr().out.strip().splitlines()
    assert header.startswith("| method | step (CPU ms) | × stl")
    (name, _, ratio, counted, *_), (other, *_) = ([cell.strip() for cell in row.split("|")[1:]] for row in (stl, mtl))
    assert (name, other, ratio, counted) == ("stl", "mtl", "1.00", "1.00")
    assert mtl.split("|")[4].strip().startswith("2.")  # twice the images


def test_operations_that_take_longer_than_counted() -> None:
    mtl = Shares("mtl", 1.0, 0.0, 100, {}, {"conv": 0.010, "norm": 0.002}, 0.0)
    mal = Shares("mal", 4.0, 0.0, 400, {}, {"conv": 0.041, "norm": 0.012, "add": 0.003}, 0.0)
    *_, first, second = excess(mtl, mal, 2).splitlines()
    assert first == "| norm | 12.0 | 4.0 |"
    assert second == "| add | 3.0 | 3.0 |"
