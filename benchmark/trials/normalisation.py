"""Predictions under statistics of batch norm that are estimated anew: of both streams, or of AU images alone (A13).

Training normalises by the statistics of batches of AU and FE images; at test time AU images pass alone. Running
statistics are those of the last batches and of changing weights. So both are estimated anew in the same way: the mean
over the same training batches, with the weights of the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from benchmark.config.trial import Trial
from benchmark.data.augment import ImageInput
from benchmark.data.frames import PackedFaces
from benchmark.trials.scoring import predict_rows
from benchmark.trials.setup import Streams
from methods.base import Batch, Method, Stream

BATCHES = 8
"""Training batches that statistics are estimated from."""
_BOTH = frozenset({Stream.AU, Stream.FE})


def both_streams(method: Method, batch: Batch) -> None:
    """Pass the images of both streams as in training."""
    method.outputs(batch[Stream.AU].images, batch[Stream.FE].images)


def au_alone(method: Method, batch: Batch) -> None:
    """Pass the AU images alone, as at test time."""
    method.predict(batch[Stream.AU].images)


PASSES: Mapping[str, Callable[[Method, Batch], None]] = {"norm_both": both_streams, "norm_au": au_alone}
"""Passes that statistics are estimated from, by their names in `audit.rules.NORMALISED`."""


@torch.no_grad()
def predictions_by_statistics(
    trial: Trial,
    method: Method,
    streams: Streams,
    images: ImageInput,
    au: PackedFaces,
    rows: npt.NDArray[np.int64],
    stop: Callable[[], bool],
) -> dict[str, npt.NDArray[np.float32]]:
    """Logits (N, J) of frames under statistics of both streams and of AU images alone; the method stays as it is.

    Args:
        trial: The trial.
        method: The trained method.
        streams: Batches of the trial; the first ones are used.
        images: How frames become network input.
        au: Frames of the AU dataset.
        rows: (N,), numbers of the frames.
        stop: Called between batches; True ends the predictions with `Interrupted`.

    Returns:
        Logits by name; empty for a method that does not learn from both streams, or has no batch norm.

    Raises:
        UserError: Logits are not finite.
        Interrupted: `stop` said so.
    """
    if not method.streams >= _BOTH or not _layers(method):
        return {}
    made = {}
    statistics = _Statistics(method)
    try:
        for name, passed in PASSES.items():
            statistics.clear()
            for batch in streams.batches(_BOTH, 0, min(BATCHES, method.spec.steps)):
                passed(method, batch)
            statistics.fill()
            made[name] = predict_rows(trial, method, images, au.frames, rows, stop, "with batch norm estimated anew")
    finally:
        statistics.restore()
    return made


def _layers(method: Method) -> list[_BatchNorm]:
    """Layers of batch norm with running statistics."""
    return [module for module in method.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


class _Statistics:
    """The running statistics of a method, to be estimated anew and restored.

    Args:
        method: The method.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self.layers = _layers(method)
        self.modes = {module: module.training for module in method.modules()}
        self.before = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in self.layers]
        self.momenta = [layer.momentum for layer in self.layers]

    def clear(self) -> None:
        """Forget the statistics; from now on they are the plain mean of all batches that pass."""
        self.method.eval()
        for layer in self.layers:
            layer.reset_running_stats()
            layer.momentum = None
            layer.train()

    def fill(self) -> None:
        """Give a layer that saw no batch, such as one of another network of the method, its own statistics back."""
        for layer, buffers in zip(self.layers, self.before, strict=True):
            if layer.num_batches_tracked is not None and not int(layer.num_batches_tracked):
                _write(layer, buffers)

    def restore(self) -> None:
        """Restore statistics, momenta and modes."""
        for layer, buffers, momentum in zip(self.layers, self.before, self.momenta, strict=True):
            _write(layer, buffers)
            layer.momentum = momentum
        for module, training in self.modes.items():
            module.training = training


def _write(layer: _BatchNorm, buffers: Mapping[str, Tensor]) -> None:
    for name, buffer in layer.named_buffers():
        buffer.copy_(buffers[name])
