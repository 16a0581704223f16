"""The script for a GPU, on the CPU: its ways run, and crops that are cut on the device are the reader's."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.gpu import Size, Way, crop_rows, step_row, ways

SMALL = Size(px=32, au=2, fe=2, val=4, backbone="test_resnet")
CPU = torch.device("cpu")


def test_crops_that_are_cut_on_the_device_are_the_readers() -> None:
    """`crop_rows` compares them before it times them."""
    labels = [label for label, *_ in crop_rows(SMALL, CPU, 1)]
    assert labels == ["batch: crops of the CPU", "batch: crops on the device"]


@pytest.mark.filterwarnings("ignore")
def test_a_way_has_a_time_or_the_reason_why_it_has_none() -> None:
    label, milliseconds, hours, _ = step_row(Way("stl", amp=True, channels_last=True), SMALL, CPU, 1)
    assert label == "stl, bf16, channels last"
    assert float(milliseconds) > 0
    assert float(hours) > 0
    label, why, *rest = step_row(Way("stl", graphed=True), SMALL, CPU, 1)
    assert label == "stl, CUDA graph"
    assert "Error" in why  # no CPU has one
    assert rest == ["-", "-"]


def test_no_way_comes_twice() -> None:
    labels = [way.label for way in ways()]
    assert len(set(labels)) == len(labels)
