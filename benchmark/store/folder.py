"""One folder a trial: atomic writes, checkpoints without pickle, and the one reader of finished trials.

Files of a finished trial: `trial.json provenance.json history.parquet scores.parquet counts.parquet
predictions.parquet model.safetensors DONE`, and `fe_weights.parquet` where the method weighs samples.
`predictions.parquet` holds one row a test frame and stays with the owner of the data. `DONE` holds the trial's key and
a hash of every other file, so that none can change unnoticed; `slurm.json` beside them is of whoever submitted it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from benchmark.config.protocol import ALL, EMOTIONS, RELATED_AUS
from benchmark.core.errors import UserError
from benchmark.data.faces import CLEAR
from benchmark.standin.people import RENDERS
from benchmark.stats import auc_of, spearman
from benchmark.store.results import Results
from benchmark.trials.trial import START, Trial

CHECKPOINT = "checkpoint.safetensors"
DONE = "DONE"
TRIAL = "trial.json"
MODEL = "model.safetensors"
ERROR = "ERROR.txt"
FE_WEIGHTS = "fe_weights.parquet"
JOB = "slurm.json"
"""Names the job that a trial was last submitted as; written by whoever submits, beside its owner."""
_RESULTS = ("*.json", "*.parquet", MODEL)
"""What a finished trial is made of, as patterns."""
_KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class TrialFolder:
    """The files of one trial."""

    path: Path

    @property
    def is_done(self) -> bool:
        return (self.path / DONE).is_file()

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.path / name, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        write_atomically(self.path / name, table.to_parquet(None, index=False, compression="zstd"))

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; the last good one stays until the next is whole on disk."""
        save_tree(self.path / CHECKPOINT, {"trial": self.path.name, "state": state})

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, or None.

        Raises:
            UserError: It is damaged, or of another trial.
        """
        file = self.path / CHECKPOINT
        if not file.is_file():
            return None
        tree = load_tree(file)
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
        """Steps before the checkpoint, from its head alone; None where there is no readable one."""
        try:
            with safe_open(self.path / CHECKPOINT, framework="pt") as file:
                plan = json.loads((file.metadata() or {})["tree"])
            return int(dict(dict(plan["dict"])["state"]["dict"])["step"]["value"])
        except (SafetensorError, OSError, KeyError, ValueError, TypeError):
            return None

    def announce(self, trial: Trial) -> None:
        """Give a trial its place in the store, so that `status` knows that it is to do."""
        if not (self.path / TRIAL).is_file():
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_json(TRIAL, trial.model_dump(mode="json"))

    def reopen(self) -> None:
        """Take the mark of a whole trial away: it is to be run again."""
        (self.path / DONE).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what writers that were killed have left half-written; for the owner of the trial.

        One that still lives is no owner any more: its write fails, and it finds that out.
        """
        for left in self.path.glob(".*.tmp"):
            if not left.name.startswith(f".{JOB}."):
                left.unlink(missing_ok=True)

    def save_model(self, state: Mapping[str, Tensor]) -> None:
        """Write a `state_dict` under its own names, so that any reader of safetensors can use it."""
        _save_tensors(self.path / MODEL, {name: _own_copy(tensor) for name, tensor in state.items()})

    def load_model(self) -> dict[str, Tensor]:
        """What `save_model` wrote.

        Raises:
            UserError: It is missing or damaged.
        """
        try:
            return load(self.read(MODEL, self.seals()))
        except (SafetensorError, OSError) as error:
            raise UserError(
                "the weights of a finished trial cannot be read",
                where=self.path / MODEL,
                found=str(error).splitlines()[0],
                remedy="delete this trial's folder and run again",
            ) from error

    def finish(self, key: str) -> None:
        """Mark the trial as done and drop what only a restart needs."""
        files = sorted({file for pattern in _RESULTS for file in self.path.glob(pattern)})
        files = [file for file in files if file.name != JOB and not file.name.startswith(".")]
        seals = [f"{_digest(file.read_bytes())} {file.name}" for file in files]
        write_atomically(self.path / DONE, "\n".join([key, *seals, ""]).encode())
        self.prune()

    def prune(self) -> None:
        """Drop what a finished trial has no use for."""
        for left in (CHECKPOINT, ERROR):
            (self.path / left).unlink(missing_ok=True)
        self.sweep()

    def seals(self) -> dict[str, str]:
        """The hash of each file of a finished trial; none for a trial that is not, or of an earlier version.

        Raises:
            UserError: DONE is damaged.
        """
        try:
            text = (self.path / DONE).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return {}
        key, *lines = text.removesuffix("\n").split("\n")
        found = {name: digest for digest, _, name in (line.partition(" ") for line in lines)}
        if not (text.endswith("\n") and _KEY.fullmatch(key) and all(found)):
            raise UserError(
                "the mark of a finished trial is damaged",
                where=self.path / DONE,
                expected="the trial's key, then a hash and a name a line",
                found=text[:80] or "an empty file",
                remedy="delete this trial's folder and run again",
            )
        return found

    def read(self, name: str, seals: Mapping[str, str]) -> bytes:
        """A file of the trial, which is what it was when the trial was finished.

        Raises:
            UserError: It is not.
        """
        content = (self.path / name).read_bytes()
        if seals and _digest(content) != seals.get(name):
            raise UserError(
                "a file of a finished trial has changed since",
                where=self.path / name,
                remedy="put the file back as it was, or delete this trial's folder and run again",
            )
        return content

    def read_table(self, name: str, seals: Mapping[str, str]) -> pd.DataFrame:
        """A table that `write_table` wrote, as `read` gives it."""
        return pd.read_parquet(io.BytesIO(self.read(name, seals)))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name, sync, rename: a reader sees the old file or the whole new one.

    The name is of this write alone: two writers of one file never mix.
    """
    path.parent.mkdir(exist_ok=True)  # and no parents: where they are missing, the store is gone
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # no later write has this name: on a full disk they would add up
            temporary.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)  # which the system does not say of a write
        raise


def save_tree(path: Path, tree: Any) -> None:
    """Write nested dicts, lists, numbers, strings and tensors as one safetensors file, atomically."""
    tensors: dict[str, Tensor] = {}
    plan = json.dumps(_flatten(tree, tensors))
    _save_tensors(path, tensors, {"tree": plan, "digest": _digest_of(plan, tensors)})


def _digest_of(plan: str, tensors: Mapping[str, Tensor]) -> str:
    """A hash of a tree: a file whose tensors changed is still whole for safetensors."""
    digest = blake2b(plan.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    # By way of bytes: a file that safetensors writes itself is readable by its owner alone.
    write_atomically(path, save(tensors, metadata))


def _own_copy(tensor: Tensor) -> Tensor:
    """On the CPU, and apart from all others: safetensors refuses tensors that share memory."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def load_tree(path: Path) -> Any:
    """Read what `save_tree` wrote.

    Raises:
        UserError: The file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["digest"] != _digest_of(metadata["tree"], tensors):
            raise ValueError("its content is not what was written")
        return _unflatten(json.loads(metadata["tree"]), tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            "a checkpoint is damaged",
            where=path,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="delete this file: the trial then starts anew",
        ) from error


def _flatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    """A JSON form in which each tensor is replaced by its place; dicts become pairs, so that keys keep their type."""
    if isinstance(node, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = _own_copy(node)
        return {"tensor": name}
    if isinstance(node, Mapping):
        return {"dict": [[key, _flatten(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_flatten(value, tensors) for value in node]}
    return {"value": node}


def _unflatten(node: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(value, tensors) for key, value in content}
    if kind == "list":
        return [_unflatten(value, tensors) for value in content]
    return content


def trial_folders(runs: Path) -> list[TrialFolder]:
    """Every trial folder below a store, finished or not, in the order of their names."""
    return [TrialFolder(file.parent) for file in sorted(runs.glob(f"*/*/*/{TRIAL}"))]


@dataclass(frozen=True)
class Glance:
    """What a list says of a trial, from two small files that are believed: no hash is computed, no setting checked.

    Attributes:
        path: Its folder, as text: a hundred thousand of them are slow as `Path`.
        dataset: As in `Trial`; so are the others.
        key: As its folder's name has it.
        is_done: Whether it is.
        source_hash: Of the sources that made it; "" of one that is not done.
    """

    path: str
    dataset: str
    method: str
    part: str
    seed: int
    profile: str
    key: str
    is_done: bool
    source_hash: str

    @property
    def folder(self) -> TrialFolder:
        return TrialFolder(Path(self.path))


def glance(runs: Path) -> Iterator[Glance]:
    """Every trial of a store, in the order of their folders.

    Raises:
        UserError: A file is damaged.
    """
    for dataset in _folders(runs):
        for method in _folders(dataset):
            for path in _folders(method):
                found = _glance(path)
                if found is not None:
                    yield found


def _folders(path: Path | str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _glance(path: str) -> Glance | None:
    try:
        trial = _load(f"{path}/{TRIAL}")
        done = os.path.exists(f"{path}/{DONE}")  # noqa: PTH110
        made = _load(f"{path}/provenance.json") if done else {}
        name = {key: str(trial[key]) for key in ("dataset", "method", "part", "profile")}
        hashed = str(made.get("source_hash", ""))
        return Glance(path, seed=int(trial["seed"]), key=path[-16:], is_done=done, source_hash=hashed, **name)
    except FileNotFoundError as error:
        if not os.path.exists(f"{path}/{DONE}"):  # noqa: PTH110 - no trial, or one that is being deleted
            return None
        raise _unreadable(path, f"no {os.path.basename(error.filename)}, and yet it is done") from error  # noqa: PTH119
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}"[:160]) from error


def _unreadable(path: Path | str, found: str) -> UserError:
    return UserError(
        "a trial folder cannot be read",
        where=path,
        found=found,
        remedy="it is damaged or from another version: take the folder out of the store",
    )


def _load(file: str) -> dict[str, Any]:
    with open(file, "rb") as stream:  # noqa: PTH123
        found: dict[str, Any] = json.loads(stream.read())
    return found


def read_trial(folder: TrialFolder) -> tuple[Trial, dict[str, Any]]:
    """The trial of a folder, and its provenance (empty while it runs).

    Raises:
        UserError: `trial.json` is damaged, or a file of a finished trial has changed.
    """
    return _read_trial(folder, folder.seals())


def _read_trial(folder: TrialFolder, seals: Mapping[str, str]) -> tuple[Trial, dict[str, Any]]:
    try:
        trial = Trial.model_validate_json(folder.read(TRIAL, seals))
        whole = (folder.path / "provenance.json").is_file()
        made = json.loads(folder.read("provenance.json", seals)) if whole else {}
        if not isinstance(made, dict):
            raise ValueError("provenance.json holds no object")
        return trial, made
    except (ValidationError, ValueError) as error:
        raise _unreadable(folder.path, str(error).splitlines()[0]) from error


def read_results(runs: Path, sources: Mapping[str, str]) -> Results:
    """All finished trials of a store.

    Args:
        runs: The store.
        sources: Hash of the present sources of each method: a trial made by others is marked stale.

    Raises:
        UserError: A finished folder lacks a file or is damaged.
    """
    folders: dict[str, Path] = {}
    parts = []
    for folder in trial_folders(runs):
        if not folder.is_done:
            continue
        seals = folder.seals()
        trial, made = _read_trial(folder, seals)
        if trial.part == ALL:  # a stage: tested on no one
            continue
        if trial.key in folders:
            raise UserError(
                "a trial stands twice in the store",
                where=folder.path,
                found=f"the same trial as in {folders[trial.key]}",
                remedy="take one of the two folders out of the store",
            )
        folders[trial.key] = folder.path
        parts.append(_read_finished(folder, trial, made, seals))
    return Results.concat(parts).marked(sources)


def _start_of(trial: Trial, made: Mapping[str, Any]) -> str:
    """What the backbone started from, for readers."""
    if START not in trial.prerequisites:
        return str(trial.hparams["weights"])
    start = made["prerequisites"][START]
    return f"{start['method']} trained on {start['dataset']} (trial {start['key']})"


def _data_of(trial: Trial, made: Mapping[str, Any]) -> tuple[str, ...]:
    """Fingerprints of what it learned from, with those of the renders that its backbone started from."""
    start = made["prerequisites"].get(START)
    if start is None or start["dataset"] != RENDERS:
        return trial.fingerprints
    return (*trial.fingerprints, start["fingerprints"][1])


def _read_finished(folder: TrialFolder, trial: Trial, made: Mapping[str, Any], seals: Mapping[str, str]) -> Results:
    try:
        counts, scores, history = (
            folder.read_table(f"{name}.parquet", seals) for name in ("counts", "scores", "history")
        )
        row = {
            "trial": trial.key,
            "dataset": trial.dataset,
            "part": trial.part,
            "method": trial.method,
            "paper_row": made["paper_row"],
            "seed": trial.seed,
            "profile": trial.profile,
            "shared_overrides": trial.shared_overrides,
            "shared_digest": trial.shared_digest,
            "variant": trial.variant,
            "own_digest": trial.own_digest,
            "origin": made["origin"],
            "data_note": made["data_note"],
            "fingerprint": "+".join(_data_of(trial, made)),
            "backbone": trial.hparams["backbone"],
            "weights": _start_of(trial, made),
            "method_version": trial.method_version,
            "stale": False,  # told below, for all trials at once
            "steps": made["steps"],
            "parameters": made["parameters"],
            "time_train_s": made["time_train_s"],
            "time_before_s": sum(before["time_train_s"] for before in made["prerequisites"].values()),
            "peak_memory_mb": made["peak_memory_mb"],
            "base_memory_mb": made["base_memory_mb"],
            "settings": trial.model_dump_json(),
            "provenance": json.dumps(made, sort_keys=True),
        }
        weighs = FE_WEIGHTS in seals or (folder.path / FE_WEIGHTS).is_file()
        named = weight_statistics(folder.read_table(FE_WEIGHTS, seals)) if weighs else {}
        found = Results(
            trials=pd.DataFrame([row]),
            counts=counts.assign(trial=trial.key),
            scores=scores.assign(trial=trial.key),
            curves=history.melt(id_vars="step", var_name="series", value_name="value").assign(trial=trial.key),
            weights=pd.DataFrame(named.items(), columns=["name", "value"]).assign(trial=trial.key),
        )
        return found if seals else found.checked()  # what is sealed was whole when it was written
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise UserError(
            "a finished trial is damaged",
            where=folder.path,
            found=f"{type(error).__name__}: {error}",
            remedy="delete its DONE file and run again, or take the folder out of the store",
        ) from error


def weight_statistics(table: pd.DataFrame) -> dict[str, float]:
    """What the report says of the final weights of the FE images (`fe_weights.parquet`).

    Args:
        table: Columns `label` and `weight`; `consistency`, `kind`, `depicted` and `AU1`, ... where the data have them.

    Returns:
        `mean`, `sd`; with consistency Spearman's rank correlation with it, over all images (`spearman_consistency`)
        and within classes, averaged over them (`spearman_consistency_within`); with AUs the mean weight of images in
        which any occurs (`with_au`) and none (`without_au`), and of images in which all AUs occur that the paper
        relates to their class (`with_related_au`) and of the others of that class (`without_related_au`), averaged
        over the classes that have both; with kinds `mean_KIND` and, but for clear images, `auc_KIND`: the chance that a
        clear image has a higher weight than one of this kind, and `auc_within_KIND`, the same among images that depict
        the same emotion, averaged over the emotions that have both; and `spearman_clear_within`, that correlation of
        a weight that is one for clear images and zero for others.
    """
    weight = table["weight"].to_numpy(np.float64)
    labels = table["label"].to_numpy()
    found = {"mean": float(weight.mean()), "sd": float(weight.std())}
    if "consistency" in table:
        consistency = table["consistency"].to_numpy(np.float64)
        found["spearman_consistency"] = spearman(weight, consistency)
        of_class = [labels == label for label in sorted(set(labels))]
        within = [spearman(weight[rows], consistency[rows]) for rows in of_class]
        found["spearman_consistency_within"] = float(np.mean(within))
        if "kind" in table:
            clear = (table["kind"] == CLEAR).to_numpy(np.float64)
            best = [spearman(clear[rows], consistency[rows]) for rows in of_class]
            found["spearman_clear_within"] = float(np.mean(best))
    found |= {f"{name}_{kind}": value for kind, each in _of_kinds(table).items() for name, value in each.items()}
    aus = table.filter(regex=r"^AU\d+$")
    if not aus.empty:
        found |= _either(
            ("with_au", "without_au"), weight, [(aus.any(axis=1).to_numpy(bool), np.full(len(table), True))]
        )
        related = [
            (table[list(names)].all(axis=1).to_numpy(bool), labels == EMOTIONS.index(emotion))
            for emotion, names in RELATED_AUS.items()
        ]
        found |= _either(("with_related_au", "without_related_au"), weight, related)
    return found


def _of_kinds(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    if "kind" not in table or CLEAR not in set(table["kind"]):
        return {}
    found = {}
    for kind, own in table.groupby("kind"):
        found[str(kind)] = {"mean": float(own["weight"].mean())}
        if kind != CLEAR:
            found[str(kind)] |= {"auc": _clear_against(table, str(kind))}
            # Images of a kind may depict other emotions than the clear ones, and weights may follow what is depicted.
            depicted = [rows for _, rows in table.groupby("depicted")] if "depicted" in table else []
            within = [_clear_against(rows, str(kind)) for rows in depicted if {CLEAR, kind} <= set(rows["kind"])]
            if within:
                found[str(kind)]["auc_within"] = float(np.mean(within))
    return found


def _clear_against(table: pd.DataFrame, kind: str) -> float:
    clear, other = (table.loc[table["kind"] == name, "weight"].to_numpy(np.float64) for name in (CLEAR, kind))
    return auc_of(clear, other)


def _either(
    names: tuple[str, str],
    weight: npt.NDArray[np.float64],
    cases: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]],
) -> dict[str, float]:
    """Mean weight with and without a mark, of those (mark, rows) whose rows have both, averaged over these."""
    both = [
        (weight[rows & mark].mean(), weight[rows & ~mark].mean())
        for mark, rows in cases
        if (rows & mark).any() and (rows & ~mark).any()
    ]
    return dict(zip(names, np.mean(both, axis=0).tolist(), strict=True)) if both else {}
