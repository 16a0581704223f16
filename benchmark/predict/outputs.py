"""The folder of the outputs. Only what an earlier prediction wrote there is ever replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes
from benchmark.store.scratch import publish, scratch_folder

ABOUT = "about.json"
"""File of facts about the predictions, and of the names of the files; it marks the folder as one of this command."""
FORMAT = "mal-benchmark predictions 1"


@dataclass
class Outputs:
    """Files that are written below a scratch folder, and get their places together.

    Attributes:
        scratch: The scratch folder.
        folder: Folder of the outputs.
        earlier: Names of the files of an earlier prediction there.
        written: Names of the files that were written, "/" separated.
    """

    scratch: Path
    folder: Path
    earlier: list[str]
    written: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        """Path of a file to write, in a folder that exists.

        Args:
            name: Name of the file below the folder.
        """
        file = self.scratch / name
        file.parent.mkdir(parents=True, exist_ok=True)
        self.written.append(name)
        return file

    def write(self, name: str, content: bytes) -> None:
        """Write a file.

        Raises:
            OSError: The file cannot be written.
        """
        self.path(name).write_bytes(content)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the facts and the names of the files, delete those of an earlier prediction, and move all in place.

        Raises:
            OSError: A file cannot be written.
        """
        content = {"format": FORMAT, **facts, "files": sorted(self.written)}
        self.write(ABOUT, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        for name in self.earlier:
            (self.folder / name).unlink(missing_ok=True)
        publish(self.scratch, self.folder, self.written)


@contextmanager
def outputs_in(folder: Path, source: Path) -> Iterator[Outputs]:
    """Outputs of a prediction. Nothing of them is left if it fails.

    Args:
        folder: Folder of the outputs, made if missing.
        source: Path that is predicted on.

    Raises:
        UserError: The folder holds other files, or the path that is predicted on lies in it.
    """
    if source.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            "the outputs would stand among what is predicted on",
            where=folder,
            remedy="name another folder with --out",
        )
    if folder.exists() and not folder.is_dir():
        raise UserError("the outputs need a folder", where=folder, found="a file", remedy="name another with --out")
    earlier = _earlier(folder) if folder.is_dir() and any(folder.iterdir()) else []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder.parent, "predictions") as scratch:
        yield Outputs(scratch, folder, earlier)


def _earlier(folder: Path) -> list[str]:
    """Names of the files of an earlier prediction.

    Raises:
        UserError: The folder is none of this command's.
    """
    try:
        content = json_object(read_bytes(folder / ABOUT))
        names = [str(name) for name in content["files"]] if content.get("format") == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        names = None
    if names is None:
        raise UserError(
            "the folder of the outputs holds other files",
            where=folder,
            expected="a new or empty folder, or one of an earlier prediction",
            remedy="name another folder with --out",
        )
    inside = [name for name in names if (folder / name).resolve().is_relative_to(folder.resolve())]
    return [*inside, ABOUT]
