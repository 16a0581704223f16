"""Time of one update of each method, in one run: read the ratios, not the seconds.

Run with `pytest tests/benchmarks --benchmark-only`.
"""

from __future__ import annotations

import pytest
import torch

from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from methods import discover
from methods.base import Samples, Stream, TaskSpec

METHODS = discover()


@pytest.mark.parametrize("name", METHODS)
def test_update(benchmark, name: str) -> None:
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 100, torch.randint(0, 2, (64, 12), dtype=torch.int8))
    cls = METHODS[name]
    method = cls.build(cls.HParams(backbone="resnet34"), spec, torch.device("cpu")).train()
    au, val = (
        Samples(torch.randn(count, 3, 64, 64), torch.randint(0, 2, (count, 12), dtype=torch.int8)) for count in (16, 64)
    )
    fe = Samples(torch.randn(16, 3, 64, 64), torch.randint(0, 7, (16,)))
    batch = {Stream.AU: au, Stream.FE: fe, Stream.AU_VAL: val}
    benchmark.pedantic(lambda: method.update(batch, 0), rounds=5, warmup_rounds=1)
    benchmark.extra_info["images"] = {"au": 16, "fe": 16, "au_val": 64, "px": 64}
