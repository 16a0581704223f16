"""Small methods, and batches that they can learn from in a few steps."""

from __future__ import annotations

import torch
from torch import Tensor

from methods import discover
from methods.base import Batch, Finished, Method, Samples, Stream, TaskSpec

AUS = tuple(f"AU{j}" for j in (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24))
EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


def make(
    name: str, *, seed: int = 0, steps: int = 60, val: Tensor | None = None, amp: bool = False, **hparams: object
) -> Method:
    """A method with its prerequisites as they start, untrained."""
    return build(
        discover().any(name), seed, steps, torch.ones(6, 12, dtype=torch.int8) if val is None else val, amp, hparams
    )


def build(cls: type[Method], seed: int, steps: int, val: Tensor, amp: bool, hparams: dict[str, object]) -> Method:
    shared = {"backbone": "test_resnet", "optimizer": "adam", "lr": 2e-3}
    before = {}
    for role, stage in cls.prerequisites.items():
        method = build(stage, 77, steps, val, amp, {})
        before[role] = Finished(method.hparams, method.state_dict())
    spec = TaskSpec(AUS, EMOTIONS, steps, val, amp, steps_per_epoch=4, prerequisites=before)
    torch.manual_seed(seed)
    return cls.build(cls.HParams.model_validate({**shared, **hparams}), spec, torch.device("cpu")).train()


def planted(seed: int, count: int = 12) -> Batch:
    """Noise with bright columns that tell the labels, so that there is something to learn."""
    g = torch.Generator().manual_seed(seed)

    def images(signal: Tensor) -> Tensor:
        noise = torch.randn(count, 3, 32, 32, generator=g)
        bars = signal.float().repeat_interleave(32 // signal.shape[1], dim=1)
        noise[:, :, :, : bars.shape[1]] += 2 * bars[:, None, None, :]
        return noise

    def au() -> Samples:
        z = torch.randint(0, 2, (count, 12), generator=g).to(torch.int8)
        return Samples(images(z), z)

    y = torch.randint(0, 7, (count,), generator=g)
    fe = Samples(images(torch.nn.functional.one_hot(y, 7)), y)
    return {Stream.AU: au(), Stream.FE: fe, Stream.AU_VAL: au()}


def only(method: Method, batch: Batch) -> Batch:
    return {stream: batch[stream] for stream in method.streams}
