"""Base class of methods that learn AU detection and FER from one loss each."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from methods.backbone import Outputs
from methods.base import Batch, Method, Samples, Scalars, Stream
from methods.losses import au_loss, fe_loss


class TaskLosses(NamedTuple):
    """Batch means of Eq. 1 and Eq. 2, and the features (A + E, C) that both tasks share."""

    au: Tensor
    fe: Tensor
    shared: Tensor


class Multitask(Method):
    """Base of multi-task methods. A subclass implements `learn`, a step on both losses."""

    streams = frozenset({Stream.AU, Stream.FE})

    def update(self, batch: Batch, step: int) -> Scalars:
        """One step on both losses."""
        au, fe = batch[Stream.AU], batch[Stream.FE]
        losses = self.losses(self.outputs(au.images, fe.images), au, fe)
        more = self.learn(losses, step)
        return {"loss_au": losses.au.detach(), "loss_fe": losses.fe.detach(), **more}

    def losses(self, out: Outputs, au: Samples, fe: Samples) -> TaskLosses:
        """Both losses of the outputs."""
        return task_losses(out, au.labels, fe.labels)

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """Take a step on both losses.

        Returns:
            Further scalars for the history.
        """
        raise NotImplementedError


def task_losses(out: Outputs, z: Tensor, y: Tensor) -> TaskLosses:
    """Both losses of the outputs, for AU labels z (A, J) and emotions y (E,)."""
    return TaskLosses(au_loss(out.au_logits, z).mean(), fe_loss(out.fe_logits, y).mean(), out.features)
