"""Short digests of files, bytes and JSON values."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.core.files import regular


def digest_of_bytes(content: bytes, size: int = 16) -> str:
    """BLAKE2b digest of bytes, as 2 x `size` hex digits.

    Example:
        >>> digest_of_bytes(b"", size=4)
        '1271cf25'
    """
    return hashlib.blake2b(content, digest_size=size).hexdigest()


def digest_of_json(value: Any, size: int = 8) -> str:
    """BLAKE2b digest of the canonical form of a JSON value: equal values have equal digests.

    Example:
        >>> digest_of_json({"a": 1, "b": 2}) == digest_of_json({"b": 2, "a": 1})
        True
    """
    return digest_of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), size)


def digest_of_file(file: Path, size: int = 16) -> bytes:
    """BLAKE2b digest of a file's bytes, `size` bytes long.

    Raises:
        UserError: The path leads to no regular file.
        OSError: The file cannot be read.
    """
    with regular(file).open("rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.blake2b, digest_size=size)).digest()
