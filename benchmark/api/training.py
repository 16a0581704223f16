"""Training of one method step by step, without a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from benchmark.api.data import LoadedData
from benchmark.config.trial import START, Trial
from benchmark.core.errors import UserError
from benchmark.trials.expand import Selection, expand
from benchmark.trials.scoring import score_test
from benchmark.trials.setup import Setup, set_up
from benchmark.trials.trainer import check_scalars, seeded, take_step
from methods import Registry, discover
from methods.base import Method


@dataclass
class Training:
    """A method and the batches that it learns from.

    Attributes:
        trial: Method, settings, part and seed.
        method: The method; `method.predict(images)` gives AU logits (B, J) of images (B, 3, H, W).
        setup: Split and batches.
        data: The frames.
        steps_done: Number of updates so far.
    """

    trial: Trial
    method: Method
    setup: Setup
    data: LoadedData
    steps_done: int = field(default=0)

    def step(self) -> dict[str, float]:
        """Update the method once and return the scalars of the step, for example `loss_au`.

        Raises:
            UserError: A scalar is not finite.
        """
        (scalars,) = self.steps(1)
        return scalars

    def steps(self, count: int) -> list[dict[str, float]]:
        """Update the method `count` times and return the scalars of each step.

        Raises:
            UserError: A scalar is not finite.
        """
        made = []
        streams, used = self.setup.streams, self.method.streams
        with seeded(self.trial.seed, self.setup.images.device):
            self.method.train()
            first = self.steps_done
            for step, batch in enumerate(streams.batches(used, first, first + count), start=first):
                scalars = {step: take_step(self.trial, self.method, batch, step)}
                made.append(check_scalars(scalars, self.trial, streams, used))
                self.steps_done = step + 1
        return made

    def predict(self, images: Tensor) -> Tensor:
        """AU logits (B, J) of network input (B, 3, H, W), in evaluation mode."""
        self.method.eval()
        with torch.no_grad():
            return self.method.predict(images)

    def score(self) -> dict[str, float]:
        """F1 of each AU over the test subjects, as a fraction; NaN where it is undefined.

        Raises:
            UserError: The trial has no test subjects, or logits are not finite.
        """
        if self.setup.fold is None:
            raise UserError(f"{self.trial.label} learns from no AU data", remedy="choose a method with AU labels")
        frames = self.data.frames.au
        tables = score_test(self.trial, self.method, self.setup.images, frames, self.setup.fold, lambda: False)
        scores = tables["scores.parquet"]
        return dict(zip(scores["au"], scores["f1"], strict=True))


def start_training(
    method: str,
    data: LoadedData,
    *,
    backbone: str | nn.Module = "",
    part: str = "",
    seed: int = 0,
    device: str = "cpu",
    registry: Registry | None = None,
) -> Training:
    """Build a method on the data, ready for its first step.

    Args:
        method: Name of a method.
        data: The frames, from `load_data`.
        backbone: Name of a timm model, or a module that maps images (B, 3, H, W) to features (B, C) or maps
            (B, C, h, w); "" for the profile's.
        part: Test part; "" for the first.
        seed: Seed of weights, split and batches.
        device: Name of a torch device.
        registry: All methods; None for those of the suite.

    Raises:
        UserError: No such method or part, or the method starts from another trial that must run first.

    Example:
        >>> from benchmark import api
        >>> data = api.load_data("bp4d", profile="smoke")  # doctest: +SKIP
        >>> api.start_training("mal", data).step()  # doctest: +SKIP
        {'loss_au': 8.3, ...}
    """
    registry = registry or discover()
    cls = registry[method]
    profile, overrides = data.profile, data.overrides
    if isinstance(backbone, str) and backbone:
        shared = {**profile.method, "backbone": backbone}
        profile = profile.model_copy(update={"method": shared})
        overrides = (*overrides, f"method.backbone={backbone}")
    selection = Selection(methods=(method,), parts=(part or next(iter(data.protocol.parts)),), seeds=(seed,))
    trial = expand(profile, overrides, registry, data.sources, selection)[-1]
    needed: Sequence[str] = [role for role in trial.prerequisites if role != START]
    if needed:
        raise UserError(
            f"{method} starts from another trial ({', '.join(needed)})",
            remedy=f"run the grid, which trains it first: benchmark.api.run(..., methods=['{method}'])",
        )
    where = torch.device(device)
    setup = set_up(trial, cls, data.protocol, data.frames, where)
    hparams = cls.HParams.model_validate({**trial.hparams, **_own_start(trial)})
    with seeded(seed, where):
        built = (
            cls.build(hparams, setup.spec, where, backbone=backbone)
            if isinstance(backbone, nn.Module)
            else cls.build(hparams, setup.spec, where)
        )
    return Training(trial, built, setup, data)


def _own_start(trial: Trial) -> dict[str, str]:
    """Random weights in place of those of the trial that this one starts from."""
    return {"weights": "scratch"} if START in trial.prerequisites else {}
