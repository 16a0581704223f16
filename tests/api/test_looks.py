"""Looks at packed frames by several processes at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.api import looks
from benchmark.api.listener import Listener
from benchmark.api.looks import look_at
from benchmark.data.frames import PackedFaces, pack
from benchmark.datasets.bp4d.reader import read_bp4d

TOGETHER = 4


@pytest.fixture
def packed(data: Path, tmp_path: Path) -> PackedFaces:
    return pack(read_bp4d(data), 32, tmp_path / "cache/frames")


def test_several_processes_look_at_one_pack_at_once(
    packed: PackedFaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them write the same files, at the same moment."""
    together, real = threading.Barrier(TOGETHER), looks.save_arrays

    def at_once(path: Path, **arrays: np.ndarray) -> None:
        together.wait(60)
        real(path, **arrays)

    monkeypatch.setattr(looks, "save_arrays", at_once)
    with ThreadPoolExecutor(TOGETHER) as pool:
        done = [pool.submit(look_at, packed, tmp_path / "cache", Listener()) for _ in range(TOGETHER)]
        sheets = {future.result().sheet for future in done}
    assert len(sheets) == 1
    Image.open(sheets.pop()).verify()
    assert not list((tmp_path / "cache").rglob("*.part*")) and not list((tmp_path / "cache").rglob("*.tmp"))


@pytest.mark.parametrize("byte", [0, 30, 200, -10])
def test_a_damaged_file_of_measurements_is_measured_again(packed: PackedFaces, tmp_path: Path, byte: int) -> None:
    before = look_at(packed, tmp_path / "cache", Listener()).quality
    (file,) = (tmp_path / "cache").rglob("look.npz")
    content = bytearray(file.read_bytes())
    content[byte] ^= 255
    file.write_bytes(content)
    after = look_at(packed, tmp_path / "cache", Listener()).quality
    assert after.sentence() == before.sentence()
    np.testing.assert_array_equal(after.strange, before.strange)
