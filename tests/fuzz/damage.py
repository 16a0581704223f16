"""Kinds of damage to a file: functions from its bytes to other bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load, save

Rng = np.random.Generator
Damage = Callable[[Rng, bytes, bytes], bytes]
"""Called with (generator, the file's bytes, those of another file); returns what the file holds then."""

NASTY = (
    *("", "../../etc/passwd", "/etc/passwd", "nan", "-1", "2.5", "1e400", "9" * 30, "9" * 5000, "x" * 140_000),
    *("\0", "²", "\ufeff", '"', "[red]", "<script>", "{{ 7 * 7 }}"),
)
"""Texts that a cell may hold instead of its own."""


def truncated(rng: Rng, content: bytes, _: bytes) -> bytes:
    return content[: int(rng.integers(len(content)))]


def flipped(rng: Rng, content: bytes, _: bytes) -> bytes:
    """One to eight bits are others."""
    damaged = bytearray(content)
    for _bit in range(int(rng.integers(1, 9))):
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def overwritten(rng: Rng, content: bytes, _: bytes) -> bytes:
    """A piece is replaced by noise."""
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 65))
    return content[:start] + rng.bytes(length) + content[start + length :]


def emptied(rng: Rng, content: bytes, _: bytes) -> bytes:
    return b""


def swapped(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Another file stands in its place."""
    return other


def noise(rng: Rng, content: bytes, _: bytes) -> bytes:
    return rng.bytes(int(rng.integers(1, 4000)))


BYTES: tuple[Damage, ...] = (truncated, flipped, overwritten, emptied, swapped, noise)


def cell(rng: Rng, content: bytes, _: bytes) -> bytes:
    """A cell of a table in text says something else."""
    lines = content.decode(errors="replace").split("\n")
    at = int(rng.integers(max(len(lines) - 1, 1)))
    mark = next((mark for mark in (",", " = ", " ") if mark in lines[at]), ",")
    cells = lines[at].split(mark)
    cells[int(rng.integers(len(cells)))] = str(rng.choice(NASTY))
    lines[at] = mark.join(cells)
    return "\n".join(lines).encode()


def column_gone(rng: Rng, content: bytes, _: bytes) -> bytes:
    """The table in text has a column less."""
    lines = [line.split(",") for line in content.decode(errors="replace").split("\n")]
    at = int(rng.integers(max(map(len, lines))))
    return "\n".join(",".join(line[:at] + line[at + 1 :]) for line in lines).encode()


def line_twice(rng: Rng, content: bytes, _: bytes) -> bytes:
    lines = content.split(b"\n")
    at = int(rng.integers(max(len(lines) - 1, 1)))
    return b"\n".join(lines[: at + 1] + lines[at:])


TEXT: tuple[Damage, ...] = (*BYTES, cell, cell, column_gone, line_twice)


def huge_header(rng: Rng, content: bytes, _: bytes) -> bytes:
    """A JPEG that says it is 65,500 pixels wide and high, a PNG that says twice as much."""
    if content.startswith(b"\x89PNG"):
        return content[:16] + (131_000).to_bytes(4, "big") * 2 + content[24:]
    for mark in (b"\xff\xc0", b"\xff\xc2"):  # start of frame: length, precision, height, width
        at = content.find(mark)
        if at >= 0:
            return content[: at + 5] + (65_500).to_bytes(2, "big") * 2 + content[at + 9 :]
    return content


def other_format(rng: Rng, content: bytes, _: bytes) -> bytes:
    """Encapsulated PostScript, which Pillow would hand to an interpreter."""
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n(/etc/passwd) (r) file\nshowpage\n"


IMAGE: tuple[Damage, ...] = (*BYTES, huge_header, other_format)


def json_value(rng: Rng, content: bytes, _: bytes) -> bytes:
    """A value of a JSON object, at any depth, is another one or not there."""
    tree = json.loads(content)
    places: list[tuple[dict | list, str | int]] = []

    def walk(node: object) -> None:
        if isinstance(node, dict | list):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                places.append((node, key))
                walk(value)

    walk(tree)
    node, key = places[int(rng.integers(len(places)))]
    new = [*NASTY, None, -1, 1e308, float("nan"), True, [], {}]
    if rng.random() < 0.3:
        del node[key]  # type: ignore[arg-type]
    else:
        node[key] = new[int(rng.integers(len(new)))]  # type: ignore[index,call-overload]
    return json.dumps(tree).encode()


JSON: tuple[Damage, ...] = (*BYTES, json_value, json_value)


def table(rng: Rng, content: bytes, _: bytes) -> bytes:
    """A parquet file that is whole, of a table that is not as it should be."""
    arrow = pq.read_table(io.BytesIO(content))
    frame = arrow.to_pandas()
    column = str(rng.choice(frame.columns))
    row = int(rng.integers(len(frame)))
    numbers = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name])]
    number = str(rng.choice(numbers)) if numbers else column

    def put(name: str, value: object) -> pd.DataFrame:
        values = frame[name].astype(object)
        values[row] = value
        try:
            pa.array(values, from_pandas=True)
        except pa.ArrowException:  # text among numbers: then all are text
            values = values.astype(str)
        return frame.assign(**{name: values})

    made = (
        lambda: frame.drop(columns=column),
        lambda: frame.rename(columns={column: f"{column} "}),
        lambda: put(column, None),
        lambda: put(column, str(rng.choice(NASTY))),
        lambda: put(number, float(rng.choice([-1, -0.5, 1e18, np.inf, -np.inf, 3.7]))),
        lambda: frame.assign(**{column: frame[column].astype(str)}),
        lambda: frame.assign(**{column: [[1]] * len(frame)}),
        lambda: pd.concat([frame, frame.iloc[[row]]]),
        lambda: frame.iloc[:0],
        lambda: frame.drop(index=row),
    )
    new = pa.Table.from_pandas(made[int(rng.integers(len(made)))](), preserve_index=False)
    kept = {key: value for key, value in (arrow.schema.metadata or {}).items() if key != b"pandas"}
    sink = io.BytesIO()
    pq.write_table(new.replace_schema_metadata({**(new.schema.metadata or {}), **kept}), sink)
    return sink.getvalue()


PARQUET: tuple[Damage, ...] = (*BYTES, table, table, table)


def tensors(rng: Rng, content: bytes, _: bytes) -> bytes:
    """Whole safetensors with a tensor that is not a number, gone, of another shape or type."""
    found = load(content)
    name = str(rng.choice(sorted(found)))
    made = (
        lambda: {**found, name: torch.full_like(found[name], float("nan") if found[name].is_floating_point() else 0)},
        lambda: {key: tensor for key, tensor in found.items() if key != name},
        lambda: {**found, name: torch.zeros(3, 2)},
        lambda: {**found, name: found[name].double()},
    )
    return save(made[int(rng.integers(len(made)))]())


SAFETENSORS: tuple[Damage, ...] = (*BYTES, tensors)


def long_header(rng: Rng, content: bytes, _: bytes) -> bytes:
    """Safetensors with a header that is as long as a disk."""
    return (2**62).to_bytes(8, "little") + content[8:]


CHECKPOINT: tuple[Damage, ...] = (*BYTES, tensors, long_header)
