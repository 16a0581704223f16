"""What stands in for ImageNet weights on the stand-in: a network that tells drawn people apart. A stage, no row."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from pydantic import Field

from methods.base import Method, TaskSpec, stage
from methods.fe_source import FESource


@stage("identity")
class Identity(FESource):
    """Who a face belongs to, of faces without any AU, in other poses and lights each time.

    The paper's backbones start from ImageNet (§4.1.2), that is from features of other images with other labels. So does
    one that starts from this: no person is one of the datasets', and nothing that it was asked for is an AU or an
    expression. Its labels come in the FE stream.
    """

    class HParams(Method.HParams):
        """Settings of the pre-training."""

        identities: int = Field(default=400, ge=2, le=30_000)
        """People that are drawn, one class each."""
        views: int = Field(default=20, ge=1, le=1000)
        """Images of each."""

    @classmethod
    def build(cls, hparams: Method.HParams, spec: TaskSpec, device: torch.device) -> Self:
        """The method over a fresh base net with a class for each person."""
        assert isinstance(hparams, cls.HParams)
        people = tuple(f"person {i}" for i in range(hparams.identities))
        return super().build(hparams, replace(spec, emotions=people), device)
