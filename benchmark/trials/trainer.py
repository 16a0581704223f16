"""The one training loop: seed, step, checkpoint, resume, score. It knows no method and no dataset by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import Abandoned, Interrupted, UserError
from benchmark.data.augment import ImageInput
from benchmark.data.frames import PackedFaces
from benchmark.data.sampling import BatchOrder, Fold, generator, make_fold
from benchmark.data.trial_data import TrialData
from benchmark.stats.scores import count, score
from benchmark.store.folder import FE_WEIGHTS, TrialFolder
from methods.base import Batch, Finished, Method, Samples, Scalars, Stream, TaskSpec

LOG_EVERY = 20
"""The paper's figures show a point every 20 iterations (§4.4)."""
EXPLODED = 1e6
"""No loss or weight of learning is so large; the sum of 12 cross-entropies starts at 8."""
TEST_BATCH = 128


@dataclass(frozen=True)
class RunOptions:
    """How a trial is run; nothing here changes its result on one kind of hardware.

    Attributes:
        device: Where it trains.
        checkpoint_s: Seconds between checkpoints; 0 for one after every step.
        on_step: Called after every step with (label of the trial, steps done, steps).
        stop: Asked after every step and every batch that is scored; if true, the trial writes a checkpoint and ends
            with `Interrupted`.
        abandoned: Asked after every step and before anything is written; if true, another process has taken the trial
            over, and training ends with `Abandoned` and writes nothing.
    """

    device: torch.device
    checkpoint_s: float = 60.0
    on_step: Callable[[str, int, int], None] | None = None
    stop: Callable[[], bool] = lambda: False
    abandoned: Callable[[], bool] = lambda: False

    def check_owned(self, label: str) -> None:
        """Go on only with a trial that is still ours.

        Raises:
            Abandoned: `abandoned` said so.
        """
        if self.abandoned():
            raise Abandoned(f"{label}: another process runs it")


class Streams:
    """The batches of a trial, each a pure function of (seed, stream, step).

    Args:
        trial: Its seed and batch sizes.
        data: The frames.
        fold: Of the AU dataset; None for a trial that learns from none.
        images: How frames become input.
        fe_clear: See `TrialData`; given to controls.
    """

    def __init__(
        self,
        trial: Trial,
        data: TrialData,
        fold: Fold | None,
        images: ImageInput,
        fe_clear: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._images = images
        self._data = data
        self._clear = fe_clear
        settings, everyone = trial.train, np.arange(len(data.fe.faces))
        self._orders = {Stream.FE: BatchOrder(everyone, settings.batch_fe, trial.seed, "fe")}
        if fold is not None:
            self._orders[Stream.AU] = BatchOrder(fold.train, settings.batch_au, trial.seed, "au")
            self._orders[Stream.AU_VAL] = BatchOrder(
                fold.val, settings.batch_val, trial.seed, "au_val", replace=settings.batch_val > len(fold.val)
            )

    def batches(self, streams: frozenset[Stream], start: int, stop: int) -> Iterator[Batch]:
        """The batches of the streams that a method asks for, of steps `start` to `stop` - 1, in order.

        The next step's images are cropped by another thread while a step is made.
        """
        with ThreadPoolExecutor(1, "batches") as pool:
            ahead = pool.submit(self._crops, streams, start)
            for step in range(start, stop):
                crops = ahead.result()
                if step + 1 < stop:
                    ahead = pool.submit(self._crops, streams, step + 1)
                yield {stream: self._samples(stream, step, *each) for stream, each in crops.items()}

    def names(self, streams: frozenset[Stream], step: int) -> dict[Stream, list[str]]:
        """Which images make the batches of a step: their paths below the data root."""
        rows = {stream: self._orders[stream].indices(step) for stream in sorted(streams)}
        return {stream: list(self._packed(stream).faces.table["path"].iloc[each]) for stream, each in rows.items()}

    def _packed(self, stream: Stream) -> PackedFaces:
        return self._data.fe if stream == Stream.FE else self._data.au

    def _crops(self, streams: frozenset[Stream], step: int) -> dict[Stream, tuple[Tensor, Tensor]]:
        """uint8 images and labels of one step, in the memory of the host."""
        return {stream: self._crops_of(stream, step) for stream in sorted(streams)}

    def _crops_of(self, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        order = self._orders[stream]
        packed = self._packed(stream)
        rows = order.indices(step)
        labels = torch.from_numpy(packed.faces.labels[rows])
        crops = self._images.train_crops(packed.frames[rows], order.augmentation(step))
        return crops, labels.long() if stream == Stream.FE else labels

    def _samples(self, stream: Stream, step: int, crops: Tensor, labels: Tensor) -> Samples:
        device, clear = self._images.device, None
        if stream == Stream.FE and self._clear is not None:
            clear = torch.from_numpy(self._clear[self._orders[stream].indices(step)]).to(device)
        return Samples(self._images.to_input(crops), labels.to(device), clear)


def train_trial(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    folder: TrialFolder,
    options: RunOptions,
    sources: str = "",
    prerequisites: Mapping[str, Finished] | None = None,
) -> dict[str, Any]:
    """Train and score one trial, from its checkpoint if it has one, and write its tables and weights.

    A trial that tests no one is not scored.

    Args:
        trial: What to do.
        method_class: The method of that name.
        protocol: Of the AU dataset.
        data: The frames.
        folder: Where the files go.
        options: Device, checkpoints, progress.
        sources: Hash of the code; a checkpoint made by other code is not continued.
        prerequisites: What the trials left that this one starts from.

    Returns:
        What provenance wants to know: steps, parameters, time_train_s, frames.

    Raises:
        UserError: A loss is not finite or explodes, the checkpoint is damaged, or the method is a control and the data
            are no stand-in.
        Interrupted: `options.stop` said so; a checkpoint holds what was done.
        Abandoned: `options.abandoned` said so; nothing was written since.
    """
    settings, train = trial.data, trial.train
    if method_class.is_control and data.fe_clear is None:
        raise UserError(
            f"{method_class.name} is a control, which runs on the stand-in alone",
            where=data.fe.faces.root,
            remedy="choose a method (malbench methods), or leave --data out",
        )
    fold, epoch = None, math.ceil(len(data.fe.faces) / train.batch_fe)
    if Stream.AU in method_class.streams:
        fold = make_fold(
            data.au.faces,
            protocol,
            trial.part,
            trial.seed,
            fraction=settings.val_fraction,
            minimum=settings.val_minimum,
        )
        epoch = math.ceil(len(fold.train) / train.batch_au)
    steps = train.steps or (train.epochs or 0) * epoch
    images = ImageInput(settings.crop_size, settings.normalise, options.device)
    streams = Streams(trial, data, fold, images, data.fe_clear if method_class.is_control else None)
    spec = TaskSpec(
        aus=protocol.au_names,
        emotions=data.fe.faces.label_names,
        steps=steps,
        au_val_labels=torch.from_numpy(data.au.faces.labels[fold.val if fold is not None else []]),
        amp=train.amp,
        image_size=settings.crop_size,
        steps_per_epoch=epoch,
        prerequisites=prerequisites or {},
    )
    with seeded(trial.seed, options.device):
        method = method_class.build(method_class.HParams.model_validate(trial.hparams), spec, options.device)
        history, seconds = _learn(trial, method, streams, steps, folder, options, sources)
        tables = {"history.parquet": pd.DataFrame(history)}
        try:
            if fold is not None and len(fold.test):
                tables |= _score(trial, method, images, data, fold, options)
            fe_weights = _fe_weights(trial, method, images, data.fe, options)
        except Interrupted:  # what was learned is kept: the next run has only to score it
            _save_checkpoint(trial, method, folder, options, sources, steps, history, seconds)
            raise
        if fe_weights is not None:
            tables[FE_WEIGHTS] = fe_weights
    for name, table in tables.items():
        options.check_owned(trial.label)
        folder.write_table(name, table)
    options.check_owned(trial.label)
    folder.save_model(method.state_dict())
    frames = {"train": len(fold.train), "au_val": len(fold.val), "test": len(fold.test)} if fold is not None else {}
    return {
        "steps": steps,
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad),
        "time_train_s": round(seconds, 3),
        "frames": frames,
    }


def _learn(
    trial: Trial,
    method: Method,
    streams: Streams,
    steps: int,
    folder: TrialFolder,
    options: RunOptions,
    sources: str,
) -> tuple[list[dict[str, float]], float]:
    start, rows, seconds = 0, [], 0.0
    unchecked: dict[int, Scalars] = {}
    checkpoint = folder.load_checkpoint()
    if checkpoint is not None and checkpoint["sources"] == sources:
        method.load_training_state(checkpoint["method"])
        start, rows, seconds = checkpoint["step"], checkpoint["history"], checkpoint["seconds"]
    method.train()
    began = saved = time.monotonic()
    for step, batch in enumerate(streams.batches(method.streams, start, steps), start=start):
        # Whatever randomness a method draws is a function of the step too, so resuming needs no generator's state.
        torch.manual_seed(int(generator(trial.seed, "update", step).integers(2**62)))
        unchecked[step] = method.update(batch, step)
        if step % LOG_EVERY == 0 or step == steps - 1:  # all at once, since a look at a number waits for a GPU
            rows.append({"step": step, **_sound(unchecked, trial, streams, method.streams)})
            unchecked = {}
        if options.on_step is not None:
            options.on_step(trial.label, step + 1, steps)
        options.check_owned(trial.label)
        now, stopping = time.monotonic(), options.stop()
        if stopping or (now - saved >= options.checkpoint_s and step + 1 < steps):
            if unchecked:  # a checkpoint is never made of what has diverged already
                _sound(unchecked, trial, streams, method.streams)
                unchecked = {}
            _save_checkpoint(trial, method, folder, options, sources, step + 1, rows, seconds + now - began)
            saved = time.monotonic()
        if stopping:
            raise Interrupted(f"{trial.label}: {step + 1} of {steps} steps done")
    return rows, seconds + time.monotonic() - began


def _save_checkpoint(
    trial: Trial,
    method: Method,
    folder: TrialFolder,
    options: RunOptions,
    sources: str,
    step: int,
    history: list[dict[str, float]],
    seconds: float,
) -> None:
    """Write what the steps before `step` have made.

    Raises:
        Abandoned: `options.abandoned` said so; nothing was written.
    """
    state = {
        "sources": sources,
        "step": step,
        "history": history,
        "seconds": seconds,
        "method": method.training_state(),
    }
    options.check_owned(trial.label)
    folder.save_checkpoint(state)


def _sound(
    unchecked: Mapping[int, Scalars], trial: Trial, streams: Streams, used: frozenset[Stream]
) -> dict[str, float]:
    """The numbers of the last of these steps.

    Raises:
        UserError: Of the first step with one that is not finite, or too large.
    """
    for step, scalars in unchecked.items():
        names = list(scalars)
        values = torch.stack([scalars[name].double() for name in names]).tolist() if names else []
        wrong = [
            f"{name} = {value}"
            for name, value in zip(names, values, strict=True)
            if not math.isfinite(value) or abs(value) > EXPLODED
        ]
        if wrong:
            batch = "; ".join(f"{stream}: {' '.join(found)}" for stream, found in streams.names(used, step).items())
            raise _diverged(f"{trial.label}, step {step}", f"{', '.join(wrong)}, in the batch {batch}")
    return dict(zip(names, values, strict=True))


def _diverged(where: str, found: str) -> UserError:
    return UserError(
        "training diverged: a value is not finite, or above any that learning gives",
        where=where,
        found=found,
        remedy="lower the learning rate with --set method.lr=VALUE, or look at these images",
    )


@torch.no_grad()
def _score(
    trial: Trial, method: Method, images: ImageInput, data: TrialData, fold: Fold, options: RunOptions
) -> dict[str, pd.DataFrame]:
    """Score the test subjects, once: the tables by the names of their files."""
    faces = data.au.faces
    logits = _over_batches(trial, data.au.frames, fold.test, images, method, method.predict, options)
    if not np.isfinite(logits).all():
        raise _diverged(f"{trial.label}, after the last step", "logits that are not finite")
    labels, rows = faces.labels[fold.test], faces.table.iloc[fold.test]
    aus = faces.label_names
    counts = count(logits, labels, rows["subject"].to_numpy(), aus)
    predictions = rows[["subject", "sequence", "frame"]].reset_index(drop=True)
    predictions[[f"logit_{au}" for au in aus]] = logits
    predictions[[f"label_{au}" for au in aus]] = labels
    return {
        "counts.parquet": counts,
        "scores.parquet": score(logits, labels, counts, aus),
        "predictions.parquet": predictions,
    }


@torch.no_grad()
def _fe_weights(
    trial: Trial, method: Method, images: ImageInput, fe: PackedFaces, options: RunOptions
) -> pd.DataFrame | None:
    """The weight of every FE image after training, if the method weighs samples (A17: evaluation mode, centre crop)."""
    if Stream.FE not in method.streams or method.sample_weight(images.test(fe.frames[:1])) is None:
        return None
    rows = np.arange(len(fe.faces))

    def weigh(batch: torch.Tensor) -> torch.Tensor:
        weight = method.sample_weight(batch)
        assert weight is not None
        return weight

    weights = _over_batches(trial, fe.frames, rows, images, method, weigh, options)
    known = {name: fe.faces.table[name] for name in ("path", "consistency") if name in fe.faces.table}
    return pd.DataFrame({**known, "label": fe.faces.labels.astype(np.int64), "weight": weights})


def _over_batches(
    trial: Trial,
    frames: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    images: ImageInput,
    method: Method,
    function: Callable[[torch.Tensor], torch.Tensor],
    options: RunOptions,
) -> npt.NDArray[np.float32]:
    """What the function gives for these frames, in evaluation mode.

    Raises:
        Interrupted: `options.stop` said so.
    """
    method.eval()
    outputs = []
    for i in range(0, len(rows), TEST_BATCH):
        if options.stop():
            raise Interrupted(f"{trial.label}: every step done, {i} of {len(rows)} images scored")
        outputs.append(function(images.test(frames[rows[i : i + TEST_BATCH]])).float().cpu().numpy())
    return np.concatenate(outputs)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch and ask for deterministic kernels inside; the state before is restored."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Every new tensor would be written once more, for the sake of code that reads what it has not written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
