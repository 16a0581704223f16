"""Packed frames: decoded once, whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.data import packing
from benchmark.data.faces import FaceSet
from benchmark.data.frames import needed_bytes, pack
from benchmark.datasets.bp4d.reader import read_bp4d


def test_frames_are_the_images_in_table_order(data: Path, tmp_path: Path) -> None:
    faces = read_bp4d(data)
    seen = []
    packed = pack(faces, 16, tmp_path / "cache", lambda done, total: seen.append((done, total)))
    assert packed.frames.shape == (72, 16, 16, 3)
    assert packed.frames.dtype == np.uint8
    assert seen[-1] == (72, 72)
    for row in (0, 40, 71):
        with Image.open(data / faces.table["path"][row]) as image:
            whole = np.asarray(image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)).astype(int)
        # The decoder may use a reduced JPEG scale, so pixels agree but for rounding.
        assert np.abs(packed.frames[row].astype(int) - whole).mean() < 6


def test_no_image_is_decoded_twice(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = read_bp4d(data)
    first = pack(faces, 16, tmp_path / "cache")
    monkeypatch.setattr(packing, "_decode", lambda *_: pytest.fail("decoded again"))
    second = pack(read_bp4d(data), 16, tmp_path / "cache")
    assert first.fingerprint == second.fingerprint
    assert isinstance(second.frames, np.memmap)


def test_the_fingerprint_follows_content_and_not_place(data: Path, tmp_path: Path) -> None:
    here = pack(read_bp4d(data), 16, tmp_path / "cache")
    there = tmp_path / "moved"
    shutil.copytree(data, there)
    assert pack(read_bp4d(there), 16, tmp_path / "cache").fingerprint == here.fingerprint
    image = there / str(here.faces.table["path"][5])
    Image.new("RGB", (24, 20), "red").save(image)
    os.utime(image, (1, 1))
    assert pack(read_bp4d(there), 16, tmp_path / "cache").fingerprint != here.fingerprint
    assert pack(read_bp4d(data), 20, tmp_path / "cache").fingerprint != here.fingerprint


def test_a_truncated_jpeg_is_named_and_makes_no_pack(data: Path, tmp_path: Path) -> None:
    faces = read_bp4d(data)
    victim = data / str(faces.table["path"][7])
    victim.write_bytes(victim.read_bytes()[:300])
    with pytest.raises(UserError, match="cannot be read") as caught:
        pack(faces, 16, tmp_path / "cache")
    assert caught.value.where == str(victim)
    assert [p for p in (tmp_path / "cache").iterdir() if not p.name.startswith(".packing-")] == []


def test_an_image_that_went_away_is_said_to_be_gone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = read_bp4d(data)
    victim = data / str(faces.table["path"][0])

    decode = packing._decode

    def vanish(*arguments: Any) -> Any:
        shutil.rmtree(data, ignore_errors=True)
        return decode(*arguments)

    with monkeypatch.context() as patch, pytest.raises(UserError, match="a file is gone"):
        patch.setattr(packing, "_decode", vanish)
        pack(faces, 16, tmp_path / "cache")
    with pytest.raises(UserError, match="a file is gone") as caught:
        pack(faces, 16, tmp_path / "cache")
    assert caught.value.where == str(victim)


def test_the_fingerprint_is_that_of_one_plain_pass(data: Path, tmp_path: Path) -> None:
    """A committed result's data are known by it: how the work is shared out must not change it."""
    faces = read_bp4d(data)
    packed = pack(faces, 16, tmp_path / "cache")
    columns = faces.table[["subject", "sequence", "frame"]].to_csv(index=False, lineterminator="\n").encode()
    digest = blake2b(b"1 16\n" + columns + faces.labels.tobytes() + ",".join(faces.label_names).encode(), digest_size=8)
    for row, path in enumerate(faces.table["path"]):
        digest.update(blake2b((data / path).read_bytes(), digest_size=16).digest())
        with Image.open(data / path) as image:
            image.draft("RGB", (16, 16))
            alone = image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR, reducing_gap=3.0)
        assert np.array_equal(packed.frames[row], np.asarray(alone))
    assert packed.fingerprint == digest.hexdigest()


KILLED = """
import os, signal, sys
from pathlib import Path
from benchmark.data import packing
from benchmark.data.frames import pack
from benchmark.datasets.bp4d.reader import read_bp4d
packing.PORTION, packing.available_cores = 8, lambda: 1
record = packing.Packing._record
def killed(self, state):
    record(self, state)
    if state.startswith(sys.argv[3] + " "):
        os.kill(os.getpid(), signal.SIGKILL)
packing.Packing._record = killed
pack(read_bp4d(Path(sys.argv[1])), 16, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("at", [0, 32])
def test_a_killed_pack_goes_on_where_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole = pack(read_bp4d(data), 16, tmp_path / "whole")
    cache = tmp_path / "cache"
    done = subprocess.run([sys.executable, "-c", KILLED, str(data), str(cache), str(at)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p for p in cache.iterdir() if not p.name.startswith(".packing-")] == []
    monkeypatch.setattr(packing, "PORTION", 8)
    seen: list[tuple[int, int]] = []
    again = pack(read_bp4d(data), 16, cache, lambda done, total: seen.append((done, total)))
    assert again.decoded == 72 - (at + 8)
    assert seen[0][0] >= at + 8
    assert again.fingerprint == whole.fingerprint
    assert np.array_equal(again.frames, whole.frames)
    assert [p for p in cache.iterdir() if p.name.startswith(".packing-") and p.suffix != ".lock"] == []


def test_after_an_image_is_mended_only_its_portion_is_decoded_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PORTION", 8)
    monkeypatch.setattr(packing, "available_cores", lambda: 1)
    faces = read_bp4d(data)
    victim = data / str(faces.table["path"][71])
    good = victim.read_bytes()
    victim.write_bytes(good[:300])
    with pytest.raises(UserError, match="cannot be read"):
        pack(faces, 16, tmp_path / "cache")
    victim.write_bytes(good)
    mended = pack(read_bp4d(data), 16, tmp_path / "cache")
    assert mended.decoded == 8
    assert mended.fingerprint == pack(read_bp4d(data), 16, tmp_path / "whole").fingerprint


def test_an_image_that_changed_meanwhile_is_decoded_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "PORTION", 8)
    monkeypatch.setattr(packing, "available_cores", lambda: 1)
    faces = read_bp4d(data)
    first, last = (data / str(faces.table["path"][row]) for row in (0, 71))
    good = last.read_bytes()
    last.write_bytes(good[:300])
    with pytest.raises(UserError):
        pack(faces, 16, tmp_path / "cache")
    last.write_bytes(good)
    Image.new("RGB", (24, 20), "red").save(first)
    packed = pack(read_bp4d(data), 16, tmp_path / "cache")
    assert packed.decoded == 16
    assert packed.frames[0, :, :, 0].mean() > 200
    assert packed.fingerprint == pack(read_bp4d(data), 16, tmp_path / "whole").fingerprint


def test_a_huge_image_is_refused_before_it_is_decoded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.data.decode.MAX_PIXELS", 100)
    with pytest.raises(UserError, match="too large"):
        pack(read_bp4d(data), 16, tmp_path / "cache")


def test_a_full_disk_is_told_before_writing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="not enough disk"):
        pack(read_bp4d(data), 16, tmp_path / "cache")


def test_needed_bytes_are_those_of_the_pack(data: Path, tmp_path: Path) -> None:
    faces = read_bp4d(data)
    assert needed_bytes(faces, 16, tmp_path / "cache") == 72 * 16 * 16 * 3
    packed = pack(faces, 16, tmp_path / "cache")
    assert packed.frames.nbytes == 72 * 16 * 16 * 3
    assert needed_bytes(faces, 16, tmp_path / "cache") == 0


def write_video(path: Path, frames: int, size: int = 32) -> list[np.ndarray]:
    """A video of flat grey frames, each a little lighter than the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (size, size))
    drawn = [np.full((size, size, 3), 20 + 8 * k, dtype=np.uint8) for k in range(frames)]
    for frame in drawn:
        writer.write(frame)
    writer.release()
    return drawn


def of_video(root: Path, indices: list[int]) -> FaceSet:
    table = pd.DataFrame(
        {
            "path": [f"V/a.avi#{k}" for k in indices],
            "subject": "S1",
            "sequence": "S1",
            "frame": [k + 1 for k in indices],
        }
    )
    labels = np.zeros((len(indices), 2), dtype=np.int8)
    return FaceSet("disfa", root, table, labels, ("AU1", "AU2"), "partial", "a test")


def test_frames_of_a_video_are_those_asked_for(tmp_path: Path) -> None:
    drawn = write_video(tmp_path / "V" / "a.avi", 20)
    wanted = [0, 3, 4, 11, 19]
    packed = pack(of_video(tmp_path, wanted), 16, tmp_path / "cache")
    for row, index in enumerate(wanted):
        assert abs(packed.frames[row].astype(float).mean() - drawn[index].mean()) < 2, index
    other = pack(of_video(tmp_path, [0, 3, 4, 11, 18]), 16, tmp_path / "cache")
    assert other.fingerprint != packed.fingerprint


def test_videos_go_on_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "available_cores", lambda: 1)
    for name in ("a", "b"):
        write_video(tmp_path / "V" / f"{name}.avi", 6)
    one = of_video(tmp_path, [0, 2, 5])
    table = pd.concat([one.table, one.table.assign(path=[f"V/b.avi#{k}" for k in (0, 1, 9)])], ignore_index=True)
    both = FaceSet("disfa", tmp_path, table, np.zeros((6, 2), np.int8), ("AU1", "AU2"), "partial", "a test")
    with pytest.raises(UserError, match="shorter"):
        pack(both, 16, tmp_path / "cache")
    write_video(tmp_path / "V" / "b.avi", 10)
    again = pack(both, 16, tmp_path / "cache")
    assert again.decoded == 3
    whole = pack(both, 16, tmp_path / "whole")
    assert whole.decoded == 6
    assert (again.fingerprint, again.frames.tobytes()) == (whole.fingerprint, whole.frames.tobytes())


def test_a_short_video_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "V" / "a.avi", 6)
    with pytest.raises(UserError, match="shorter than its labels") as caught:
        pack(of_video(tmp_path, [1, 9]), 16, tmp_path / "cache")
    assert caught.value.where == str(tmp_path / "V" / "a.avi")
    assert caught.value.expected == "a frame number 10"


def test_the_frames_of_some_subjects(data: Path, tmp_path: Path) -> None:
    packed = pack(read_bp4d(data), 16, tmp_path / "cache")
    some = packed.of_subjects({"F001", "M003"})
    rows = np.flatnonzero(packed.faces.table["subject"].isin({"F001", "M003"}))
    assert set(some.faces.table["subject"]) == {"F001", "M003"}
    assert np.array_equal(some.frames[np.array([0, 5])], packed.frames[rows[[0, 5]]])
    assert np.array_equal(some.faces.labels, packed.faces.labels[rows])
    assert len({packed.fingerprint, some.fingerprint, packed.of_subjects({"F001"}).fingerprint}) == 3
