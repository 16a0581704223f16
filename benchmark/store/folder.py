"""The folder of one trial: its files, the digests that seal them, and the state that they show.

Files of a finished trial: `trial.json provenance.json history.parquet scores.parquet counts.parquet
predictions.parquet model.safetensors DONE`, `fe_weights.parquet` if the method weighs samples, and `snapshots.parquet
au_val.parquet audit.parquet` if `train.snapshots` asks for them. `predictions.parquet` has one row per test frame,
`au_val.parquet` one per AU validation frame: both hold labels and stay with the owner of the data. `DONE` holds the
trial's key and a digest of each of these files, so that a later change is noticed. `provenance.json` says that it does.
A `DONE` without digests is of an earlier version, and the trial unsealed, or it is damaged.

Two files beside them come from others than the owner of the trial. `slurm.json` names the job that the trial was last
submitted as, and is not sealed. `verified.json` says which sources last verified a finished trial; `DONE` gets its
digest then.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes, regular
from benchmark.core.hashing import digest_of_bytes, digest_of_file

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from benchmark.config.trial import Trial

CHECKPOINT = "checkpoint.safetensors"
DONE = "DONE"
TRIAL = "trial.json"
PROVENANCE = "provenance.json"
MODEL = "model.safetensors"
ERROR = "ERROR.txt"
FE_WEIGHTS = "fe_weights.parquet"
SNAPSHOTS = "snapshots.parquet"
AU_VAL = "au_val.parquet"
AUDIT = "audit.parquet"
JOB = "slurm.json"
VERIFIED = "verified.json"

_SEALED = ("*.json", "*.parquet", MODEL)
"""Patterns of the files that `DONE` seals, but for `_UNSEALED`."""
_UNSEALED = {JOB, VERIFIED}
_KEY = re.compile(r"[0-9a-f]{16}")
SEALED = {"sealed": "blake2b"}
"""Part of the provenance of each trial whose `DONE` has digests."""
UNSEALED = "unsealed"
"""Field of the provenance of a trial, or of its verification, that nothing proves to be as it was written."""


@dataclass(frozen=True)
class Mark:
    """Content of `DONE`.

    Attributes:
        key: Key of the trial.
        seals: Digest by name of each sealed file; empty for a trial of a version that did not seal.
    """

    key: str
    seals: dict[str, str]


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial.

    Attributes:
        path: The folder; it need not exist.
    """

    path: Path

    @property
    def is_done(self) -> bool:
        """Whether the trial is finished."""
        return (self.path / DONE).is_file()

    @property
    def lock(self) -> Path:
        """Lock file of the process that runs the trial."""
        return self.path / ".lock"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file, atomically.

        Args:
            name: Name of the file.
            content: JSON values.

        Raises:
            OSError: The file cannot be written.
        """
        self.write_text(name, json.dumps(content, indent=1, sort_keys=True) + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as a parquet file, atomically.

        Args:
            name: Name of the file.
            table: The table; its index is not stored.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomically(self.path / name, table.to_parquet(None, index=False, compression="zstd"))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, atomically.

        Args:
            name: Name of the file.
            text: Its content.

        Raises:
            OSError: The file cannot be written.
        """
        write_atomically(self.path / name, text.encode())

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; the last one stays until the new one is whole on disk.

        Args:
            state: Nested dicts and lists of values and tensors.

        Raises:
            OSError: The file cannot be written.
        """
        _tensor_files().save_tree(self.path / CHECKPOINT, {"trial": self.path.name, "state": state})

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Read the last checkpoint.

        Returns:
            The state; None if there is no checkpoint.

        Raises:
            UserError: The checkpoint is damaged, or of another trial.
        """
        file = self.path / CHECKPOINT
        if not file.is_file():
            return None
        tree = _tensor_files().load_tree(file)
        owner = tree.get("trial") if isinstance(tree, dict) else None
        if owner != self.path.name:
            raise UserError(
                "a checkpoint of another trial",
                where=file,
                expected=self.path.name,
                found=str(owner),
                remedy="delete this file: the trial then starts anew",
            )
        state: dict[str, Any] = tree["state"]
        return state

    def steps_done(self) -> int | None:
        """Steps before the last checkpoint, from its header alone; None if there is no readable checkpoint."""
        try:
            with safe_open(regular(self.path / CHECKPOINT), framework="np") as file:  # "pt" would import torch
                plan = json.loads((file.metadata() or {})["tree"])
            return int(dict(dict(plan["dict"])["state"]["dict"])["step"]["value"])
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, UserError):
            return None

    def save_model(self, state: Mapping[str, Tensor]) -> None:
        """Write the weights of the trained method.

        Args:
            state: Its `state_dict`.

        Raises:
            OSError: The file cannot be written.
        """
        _tensor_files().save_state_dict(self.path / MODEL, state)

    def load_model(self) -> dict[str, Tensor]:
        """Read the weights of the trained method.

        Returns:
            Its `state_dict`, on the CPU.

        Raises:
            UserError: The file is missing, damaged or changed.
        """
        try:
            state: dict[str, Tensor] = _tensor_files().load_state_dict(self.read(MODEL, self.seals()))
            return state
        except (ValueError, OSError) as error:
            raise UserError(
                "the weights of a finished trial cannot be read",
                where=self.path / MODEL,
                found=str(error).splitlines()[0],
                remedy="delete this trial's folder and run again",
            ) from error

    def announce(self, trial: Trial) -> None:
        """Write `trial.json`, so that `status` lists a trial that has not begun.

        Args:
            trial: The trial of this folder.

        Raises:
            OSError: The file cannot be written.
        """
        if not (self.path / TRIAL).is_file():
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self.write_json(TRIAL, trial.model_dump(mode="json"))
            except FileNotFoundError:
                # A process that owns the trial by now has swept the temporary file, and writes `trial.json` itself.
                if not self.path.is_dir():
                    raise

    def finish(self, key: str) -> None:
        """Seal the files, mark the trial as finished, and delete what only a restart needs.

        Args:
            key: Key of the trial.

        Raises:
            OSError: A file cannot be read or written.
        """
        self._write_mark(key, {name: digest_of_file(self.path / name).hex() for name in self._sealed_names()})
        self.prune()

    def reopen(self) -> None:
        """Remove the marks and the results of an earlier run, so that none of them is taken for the next run's."""
        for name in (DONE, VERIFIED, *(name for name in self._sealed_names() if name != TRIAL)):
            (self.path / name).unlink(missing_ok=True)

    def prune(self) -> None:
        """Delete the files that a finished trial does not need."""
        for left in (CHECKPOINT, ERROR):
            (self.path / left).unlink(missing_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Delete the temporary files of killed writers; only the owner of the trial may call this.

        A writer that is still alive is no longer the owner: its write fails, and it notices.
        """
        for left in self.path.glob(".*.tmp"):
            if not left.name.startswith(f".{JOB}."):
                left.unlink(missing_ok=True)

    def seals(self) -> dict[str, str]:
        """Digests of the files of a finished trial.

        Returns:
            Digest by name of the file. Empty if the trial is not finished, or was made by an earlier version.

        Raises:
            UserError: `DONE` is damaged.
        """
        mark = self.mark()
        return {} if mark is None else mark.seals

    def mark(self) -> Mark | None:
        """Content of `DONE`; None if the trial is not finished.

        Raises:
            UserError: `DONE` is damaged.
        """
        try:
            text = read_bytes(self.path / DONE).decode(errors="replace")
        except FileNotFoundError:
            return None
        key, *lines = text.removesuffix("\n").split("\n")
        digests = {name: digest for digest, _, name in (line.partition(" ") for line in lines)}
        if not (text.endswith("\n") and _KEY.fullmatch(key) and all(digests) and len(digests) == len(lines)):
            raise UserError(
                "the mark of a finished trial is damaged",
                where=self.path / DONE,
                expected="the trial's key, then one line per file: a digest and a name",
                found=text[:80] or "an empty file",
                remedy="delete this trial's folder and run again",
            )
        return Mark(key, digests)

    def faults(self, seals: Mapping[str, str], matches: Callable[[Path, str], bool] | None = None) -> list[str]:
        """Differences between the files of a finished trial and their seals, each in words.

        Args:
            seals: Result of `seals`, not empty.
            matches: Whether a file has a digest; None: its bytes are hashed.
        """
        matches = matches or has_digest
        wrong = []
        for name, digest in seals.items():
            try:
                if not matches(self.path / name, digest):
                    wrong.append(f"{name} has changed")
            except FileNotFoundError:
                wrong.append(f"{name} is gone")
            except (OSError, UserError) as error:
                wrong.append(f"{name} cannot be read: {getattr(error, 'found', None) or error}")
        return wrong + [f"{name} has no seal" for name in self._sealed_names() if name not in seals]

    def _sealed_names(self) -> list[str]:
        """Names of the files that `finish` seals, and of whatever else no trial has."""
        names = {file.name for pattern in _SEALED for file in self.path.glob(pattern)}
        return sorted(name for name in names if name not in _UNSEALED and not name.startswith("."))

    def write_verification(self, content: Mapping[str, Any]) -> None:
        """Write `verified.json`, and seal it in `DONE` of this finished trial, if that seals anything.

        Args:
            content: JSON values.

        Raises:
            UserError: `DONE` is damaged.
            OSError: A file cannot be read or written.
        """
        mark = self.mark()
        seals = {} if mark is None else {name: digest for name, digest in mark.seals.items() if name != VERIFIED}
        if mark is not None and VERIFIED in mark.seals:
            # An earlier verification loses its seal first: after a kill the trial is unverified, not damaged.
            self._write_mark(mark.key, seals)
        self.write_json(VERIFIED, content)
        if mark is not None and seals:
            self._write_mark(mark.key, {**seals, VERIFIED: digest_of_file(self.path / VERIFIED).hex()})

    def read_verification(self, seals: Mapping[str, str]) -> dict[str, Any]:
        """Content of `verified.json`; empty if there is none, `unsealed` alone if `DONE` does not know it.

        Args:
            seals: Result of `seals`.

        Raises:
            UserError: The file has changed, or is gone.
            OSError: The file cannot be read.
            ValueError: The file is damaged.
        """
        if VERIFIED in seals:
            return json_object(self.read(VERIFIED, seals))
        return {UNSEALED: True} if os.path.lexists(self.path / VERIFIED) else {}

    def _write_mark(self, key: str, seals: Mapping[str, str]) -> None:
        self.write_text(DONE, "\n".join([key, *(f"{digest} {name}" for name, digest in seals.items()), ""]))

    def read(self, name: str, seals: Mapping[str, str]) -> bytes:
        """Read a file and compare it with its seal.

        Args:
            name: Name of the file.
            seals: Result of `seals`; nothing is compared if it is empty.

        Returns:
            Content of the file.

        Raises:
            UserError: The file has changed since the trial was finished.
            OSError: The file cannot be read.
        """
        content = read_bytes(self.path / name)
        if seals and digest_of_bytes(content) != seals.get(name):
            raise UserError(
                "a file of a finished trial has changed since",
                where=self.path / name,
                remedy="put the file back as it was, or delete this trial's folder and run again",
            )
        return content

    def read_table(self, name: str, seals: Mapping[str, str]) -> pd.DataFrame:
        """Read a table that `write_table` wrote; arguments and errors are those of `read`."""
        import pyarrow.parquet as pq  # noqa: PLC0415  # as in `_tensor_files`

        arrow = pq.read_table(io.BytesIO(self.read(name, seals)))
        # Without its metadata: those are instructions for pandas, and a file may hold wrong ones.
        table: pd.DataFrame = arrow.replace_schema_metadata(None).to_pandas()
        return table


def trial_folders(runs: Path) -> list[TrialFolder]:
    """All trial folders of a store, finished or not, in the order of their paths.

    A folder without `trial.json` that has `DONE` is one of them, and so is one that was moved a level up.

    Args:
        runs: The store.
    """
    marks = [file for depth in ("*", "*/*", "*/*/*") for name in (TRIAL, DONE) for file in runs.glob(f"{depth}/{name}")]
    return [TrialFolder(path) for path in sorted({mark.parent for mark in marks})]


def has_digest(file: Path, digest: str) -> bool:
    """Whether a file's bytes have this digest.

    Raises:
        UserError: The path leads to no regular file.
        OSError: The file cannot be read.
    """
    return digest_of_file(file).hex() == digest


def unreadable(path: Path | str, reason: str) -> UserError:
    """Error of a trial folder that cannot be read.

    Args:
        path: The folder.
        reason: The reason.
    """
    return UserError(
        "a trial folder cannot be read",
        where=path,
        found=reason,
        remedy="it is damaged or from another version: take the folder out of the store",
    )


def _tensor_files() -> ModuleType:
    """`benchmark.store.checkpoint`, imported on the first use.

    It imports torch, which takes seconds. `malbench status` lists the trials of a store without it, and without pandas.
    """
    from benchmark.store import checkpoint  # noqa: PLC0415

    return checkpoint
