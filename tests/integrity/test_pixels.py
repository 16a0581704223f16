"""Pixels of a pack are those of the images, and those that were packed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.core.errors import UserError
from benchmark.data import decode as decoding
from benchmark.data.decode import decode, hash_source
from benchmark.data.deep import check_bytes
from benchmark.data.frames import pack
from benchmark.datasets.bp4d.reader import read_bp4d
from tests.fuzz.test_fuzz import malbench

LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)
"""Every grey level once."""
COLOURS = np.stack([LEVELS, LEVELS.T, LEVELS[::-1]], axis=-1)
GREY = np.stack([LEVELS] * 3, axis=-1)


def only_pack(cache: Path) -> Path:
    (folder,) = (path for path in cache.iterdir() if not path.name.startswith("."))
    return folder


def zeroed(folder: Path) -> None:
    file = folder / "frames.npy"
    offset = np.load(file, mmap_mode="r").offset
    content = bytearray(file.read_bytes())
    content[offset:] = bytes(len(content) - offset)
    file.write_bytes(content)


def one_bit(folder: Path) -> None:
    file = folder / "frames.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def two_frames_swapped(folder: Path) -> None:
    frames = np.load(folder / "frames.npy", mmap_mode="r+")
    frames[[3, 50]] = frames[[50, 3]]
    frames.flush()


def cut(folder: Path) -> None:
    file = folder / "frames.npy"
    file.write_bytes(file.read_bytes()[:-100])


def fingerprint_edited(folder: Path) -> None:
    file = folder / "pack.json"
    text = file.read_text()
    at = text.index("fingerprint") + len('fingerprint": "')
    file.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])


def digests_gone(folder: Path) -> None:
    file = folder / "pack.json"
    file.write_text(file.read_text().replace('"portions"', '"portion"'))


def order_of_axes_edited(folder: Path) -> None:
    """The same bytes then mean other pixels."""
    file = folder / "frames.npy"
    file.write_bytes(file.read_bytes().replace(b"'fortran_order': False", b"'fortran_order': True ", 1))


def replaced_by_a_fifo(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    change.__name__ = f"{name} a FIFO"
    return change


def facts_gone(folder: Path) -> None:
    (folder / "pack.json").unlink()


@pytest.mark.parametrize(
    "change",
    [
        *(zeroed, one_bit, two_frames_swapped, cut, fingerprint_edited, digests_gone, order_of_axes_edited, facts_gone),
        *map(replaced_by_a_fifo, ("frames.npy", "pack.json")),
    ],
    ids=lambda change: change.__name__,
)
def test_a_changed_pack_is_not_used(data: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    cache = tmp_path / "cache"
    before = pack(read_bp4d(data), 16, cache)
    assert not before.unchecked
    change(only_pack(cache))
    with pytest.raises(UserError, match="packed frames are damaged"):
        pack(read_bp4d(data), 16, cache)


def test_pixels_are_taken_as_they_are_on_request_and_the_pack_says_so(data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    packed = pack(read_bp4d(data), 16, cache)
    one_bit(only_pack(cache))
    taken = pack(read_bp4d(data), 16, cache, check=False)
    assert taken.unchecked
    assert taken.of_subjects(["F001"]).unchecked
    assert taken.fingerprint == packed.fingerprint


def test_a_digest_is_that_of_the_decoded_pixels(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels that change between their decoding and the end of the packing are noticed."""
    from benchmark.data import packing

    monkeypatch.setattr(packing, "PORTION", 8)
    finish = packing.Packing._finish

    def tampered(self: object) -> None:
        one_bit(self.making)  # type: ignore[attr-defined]
        finish(self)  # type: ignore[arg-type]

    monkeypatch.setattr(packing.Packing, "_finish", tampered)
    with pytest.raises(UserError, match="packed frames are damaged") as caught:
        pack(read_bp4d(data), 16, tmp_path / "cache")
    assert caught.value.found == "others in the frames 64 to 71"


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    deep = Image.fromarray(LEVELS.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    frame, digest = decode(saved(tmp_path / "a.png", deep), 16)
    assert np.array_equal(frame, GREY)
    assert digest == hash_source(tmp_path, "a.png")
    # Earlier versions packed another picture under the hash of the bytes alone.
    plain, of_plain = decode(saved(tmp_path / "b.png", Image.fromarray(LEVELS)), 16)
    assert np.array_equal(plain, GREY)
    assert of_plain == decoding.blake2b((tmp_path / "b.png").read_bytes(), digest_size=16).digest()
    assert digest != decoding.blake2b((tmp_path / "a.png").read_bytes(), digest_size=16).digest()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_opaque_images_of_each_kind_give_the_known_pixels(tmp_path: Path, mode: str) -> None:
    expected = COLOURS if mode in {"RGB", "RGBA"} else GREY
    image = Image.fromarray(expected).convert("L" if mode == "P" else mode)
    if mode == "P":
        image = Image.fromarray(LEVELS)
        image.putpalette([level for level in range(256) for _ in range(3)])
        assert image.mode == "P"
    frame, _ = decode(saved(tmp_path / "a.png", image), 16)
    assert np.array_equal(frame, expected)


def half_transparent() -> Image.Image:
    image = Image.fromarray(COLOURS).convert("RGBA")
    image.putpixel((3, 4), (1, 2, 3, 254))
    return image


def animation(path: Path) -> None:
    frames = [Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1].copy())]
    frames[0].save(path, save_all=True, append_images=frames[1:])


REFUSED = {
    "CMYK": ("jpg", lambda path: saved(path, Image.fromarray(COLOURS).convert("CMYK"))),
    "alpha": ("png", lambda path: saved(path, half_transparent())),
    "transparent colour": (
        "png",
        lambda path: saved(path, Image.fromarray(COLOURS), transparency=(35, 50, 211)),
    ),
    "transparent grey": ("png", lambda path: saved(path, Image.fromarray(LEVELS), transparency=7)),
    "transparent palette": ("png", lambda path: saved(path, Image.fromarray(LEVELS).convert("P"), transparency=7)),
    "animation": ("png", animation),
}


@pytest.mark.parametrize("name", REFUSED)
def test_images_without_a_certain_conversion_are_refused(tmp_path: Path, name: str) -> None:
    suffix, write = REFUSED[name]
    path = tmp_path / f"a.{suffix}"
    write(path)
    with pytest.raises(UserError, match="no certain conversion") as caught:
        decode(path, 16)
    assert caught.value.where == str(path)


def without_checksum(content: bytes) -> bytes:
    """A wrong checksum of the pixels, which stand whole before it."""
    at = content.rindex(b"IEND") - 5
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "an empty PNG": ("png", lambda _: b""),
    "the signature of a PNG alone": ("png", lambda content: content[:8]),
    "half a PNG": ("png", lambda content: content[: len(content) // 2]),
    "a PNG with a wrong checksum": ("png", without_checksum),
    "half a JPEG": ("jpg", lambda content: content[: len(content) // 2]),
    "a JPEG without its end": ("jpg", lambda content: content[:-2]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_images_are_refused(tmp_path: Path, name: str) -> None:
    suffix, damage = DAMAGED[name]
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS))
    decode(path, 16)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="an image cannot be read"):
        decode(path, 16)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_turns_the_pixels_as_viewers_do(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(COLOURS[::4, ::4], np.ones((16, 16, 1), dtype=np.uint8))
    path = saved(
        tmp_path / f"a.{suffix}", Image.fromarray(blocks), exif=exif, **({"quality": 100} if suffix == "jpg" else {})
    )
    frame, digest = decode(path, 64)
    # What each number means, from the table of the EXIF standard: where row 0 and column 0 of the stored pixels lie.
    shown = {
        1: blocks,
        2: blocks[:, ::-1],
        3: blocks[::-1, ::-1],
        4: blocks[::-1],
        5: blocks.transpose(1, 0, 2),
        6: np.rot90(blocks, -1),
        7: blocks[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(blocks),
    }[orientation]
    assert np.abs(frame.astype(int) - shown).mean() < (0.001 if suffix == "png" else 4)
    assert digest == hash_source(tmp_path, path.name)


def test_a_turned_image_with_landmarks_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.fromarray(COLOURS), exif=exif)
    with pytest.raises(UserError, match="turned by its EXIF"):
        decode(path, 16, np.array([[4, 4], [12, 4], [5, 12], [11, 12]], dtype=np.float64))


def replaced_quietly(file: Path) -> None:
    """Other bytes of the same size, and the old times; a file written in place also keeps its inode."""
    stat = file.stat()
    content = bytearray(file.read_bytes())
    content[-3] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_an_image_that_changed_under_its_size_and_time_is_packed_anew(data: Path, tmp_path: Path) -> None:
    cache, faces = tmp_path / "cache", read_bp4d(data)
    before = pack(faces, 16, cache)
    replaced_quietly(data / str(faces.table["path"][9]))
    after = pack(read_bp4d(data), 16, cache)
    assert after.fingerprint != before.fingerprint
    assert after.decoded == len(faces)
    only_pack(cache)  # the earlier one is gone


def test_the_deep_check_hashes_every_file(data: Path, tmp_path: Path) -> None:
    cache, faces = tmp_path / "cache", read_bp4d(data)
    assert check_bytes(faces, 16, cache).lines[0].found == "not compared: these frames are not packed"
    pack(faces, 16, cache)
    assert not check_bytes(faces, 16, cache).findings
    victim = str(faces.table["path"][9])
    replaced_quietly(data / victim)
    (finding,) = check_bytes(faces, 16, cache).findings
    assert victim in finding.what
    assert finding.severity == "fault"


def test_a_run_says_whether_it_compared_the_pixels(data: Path, tmp_path: Path) -> None:
    command = (
        *("run", "bp4d", "--data", data, "--allow-incomplete", "--profile", "smoke", "--threads", "1"),
        *("--cache", tmp_path / "cache", "--method", "stl", "--part", "part1", "--set", "data.alignment=as_is"),
        *("--set", "method.backbone=test_resnet", "--set", "train.steps=2", "--set", "train.batch_au=6"),
    )
    for runs, more, words in (("a", (), "as packed"), ("b", ("--skip-pixel-check",), "not compared")):
        status, said, error = malbench(*command, "--runs", tmp_path / runs, *more)
        assert (status, error) == (0, "")
        note = "were not compared" if more else "packed frames are as they were packed, by their digests"
        assert note in " ".join(said.split())
        made = json.loads(next((tmp_path / runs).rglob("provenance.json")).read_text())
        assert words in made["pixels"]
        assert ("not compared" in made["data_note"]) == bool(more)
        assert made["profile"]["train"]["steps"] == 2
    for folder in (tmp_path / "cache/frames").glob("bp4d-*"):
        zeroed(folder)
    status, _, error = malbench(*command, "--runs", tmp_path / "c")
    assert (status, error.partition("\n")[0]) == (2, "error: packed frames are damaged")
    assert not list(tmp_path.joinpath("c").rglob("DONE"))
