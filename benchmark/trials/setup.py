"""Batches and task of a trial: pure functions of the trial and its frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.data.augment import ImageInput
from benchmark.data.frames import PackedFaces
from benchmark.data.sampling import BatchOrder, Fold, make_fold
from benchmark.data.trial_data import TrialData
from methods.base import Batch, Finished, Method, Samples, Stream, TaskSpec


class Streams:
    """The batches of a trial, each a pure function of (seed, stream, step).

    Args:
        trial: Gives the seed and the batch sizes.
        data: The frames.
        fold: Split of the AU dataset; None for a trial that learns from no AU frame.
        images: Turns frames into network input.
        fe_clear: See `TrialData`; only controls get it.
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
        """Batches of the requested streams for steps `start` to `stop` - 1, in order.

        Another thread crops the images of the next step while a step runs.
        """
        with ThreadPoolExecutor(1, "batches") as pool:
            ahead = pool.submit(self._crops, streams, start)
            for step in range(start, stop):
                crops = ahead.result()
                if step + 1 < stop:
                    ahead = pool.submit(self._crops, streams, step + 1)
                yield {stream: self._samples(stream, step, *cropped) for stream, cropped in crops.items()}

    def names(self, streams: frozenset[Stream], step: int) -> dict[Stream, list[str]]:
        """Paths below the data root of the images in the batches of one step."""
        rows = {stream: self._orders[stream].indices(step) for stream in sorted(streams)}
        return {
            stream: list(self._packed(stream).faces.table["path"].iloc[indices]) for stream, indices in rows.items()
        }

    def _packed(self, stream: Stream) -> PackedFaces:
        return self._data.fe if stream == Stream.FE else self._data.au

    def _crops(self, streams: frozenset[Stream], step: int) -> dict[Stream, tuple[Tensor, Tensor]]:
        """Crops (uint8) and labels of one step by stream, in host memory."""
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


@dataclass(frozen=True)
class Setup:
    """Split, images, batches and task of a trial.

    Attributes:
        fold: Split of the AU dataset; None for a trial that learns from no AU frame.
        images: Turns frames into network input.
        streams: The batches.
        spec: The task, for the constructor of the method.
    """

    fold: Fold | None
    images: ImageInput
    streams: Streams
    spec: TaskSpec


def set_up(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    device: torch.device,
    prerequisites: Mapping[str, Finished] | None = None,
) -> Setup:
    """Split the data and compute the number of steps of a trial.

    Args:
        trial: The trial.
        method_class: The method of that name.
        protocol: Protocol of the AU dataset.
        data: The frames.
        device: Device of the batches.
        prerequisites: Finished trials that this one starts from, by role.

    Raises:
        UserError: The split leaves no frame on a side, or the method is a control and the data are no stand-in.
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
    images = ImageInput(settings.crop_size, settings.normalise, device)
    spec = TaskSpec(
        aus=protocol.au_names,
        emotions=data.fe.faces.label_names,
        steps=train.steps or (train.epochs or 0) * epoch,
        au_val_labels=torch.from_numpy(data.au.faces.labels[fold.val if fold is not None else []]),
        amp=train.amp,
        image_size=settings.crop_size,
        steps_per_epoch=epoch,
        prerequisites=prerequisites or {},
    )
    streams = Streams(trial, data, fold, images, data.fe_clear if method_class.is_control else None)
    return Setup(fold, images, streams, spec)
