"""Peak memory of packing does not grow with the number of frames: 2,000 beside 20,000, a process each.

Run with `pytest tests/benchmarks/test_packing_memory.py --benchmark-only`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, pandas as pd, torch
from benchmark.data.faces import FaceSet
from benchmark.data.frames import pack
from benchmark.trials.provenance import peak_memory_mb, reset_peak_memory
root, count = Path(sys.argv[1]), int(sys.argv[2])
table = pd.DataFrame({"path": [f"{k}.jpg" for k in range(count)], "subject": "S", "sequence": "S"})
table["frame"] = range(count)
faces = FaceSet("x", root, table, np.zeros((count, 12), np.int8), ("AU",) * 12, "partial", "")
before = reset_peak_memory(torch.device("cpu"))
packed = pack(faces, 128, root / f"cache{count}")
print(json.dumps({"before": before, "peak": peak_memory_mb(torch.device("cpu")), "bytes": packed.frames.nbytes}))
"""
MOST_GROWTH_MB = 50


def test_memory_stays_flat(benchmark, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(50):
        Image.fromarray(rng.integers(0, 255, (160, 160, 3), dtype=np.uint8)).save(tmp_path / f"{k}.jpg")
    for k in range(50, 20_000):
        os.link(tmp_path / f"{k % 50}.jpg", tmp_path / f"{k}.jpg")

    def peak(count: int) -> dict[str, float]:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(count)]
        said: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return said

    few = peak(2_000)
    many = benchmark.pedantic(peak, args=(20_000,), rounds=1)
    assert many["bytes"] == 20_000 * 128 * 128 * 3
    benchmark.extra_info.update({"peak_mb_2000": few["peak"], "peak_mb_20000": many["peak"], "before": many["before"]})
    assert many["peak"] - few["peak"] < MOST_GROWTH_MB
