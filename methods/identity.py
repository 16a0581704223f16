"""Pre-training on drawn people, in place of ImageNet weights on the stand-in. A stage: no table has it."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from pydantic import Field
from torch import nn

from methods.base import Method, TaskSpec, stage
from methods.fe_source import FESource


@stage("identity")
class Identity(FESource):
    """Identity classification on drawn faces without AUs: pre-training in place of ImageNet.

    The paper's backbones start from ImageNet (§4.1.2), that is from features of other images and other labels. The
    same holds here: the drawn people are in no dataset, and the labels are neither AUs nor emotions. Each view of a
    person has another pose and another light. The labels come in the FE stream.
    """

    class HParams(Method.HParams):
        """Settings of the pre-training."""

        identities: int = Field(default=400, ge=2, le=30_000)
        """Number of drawn people; each is one class."""
        views: int = Field(default=20, ge=1, le=1000)
        """Images of each person."""

    @classmethod
    def build(
        cls, hparams: Method.HParams, spec: TaskSpec, device: torch.device, *, backbone: nn.Module | None = None
    ) -> Self:
        """The method over a new base net with one class for each person; see `Method.build`."""
        assert isinstance(hparams, cls.HParams)
        people = tuple(f"person {i}" for i in range(hparams.identities))
        return super().build(hparams, replace(spec, emotions=people), device, backbone=backbone)
