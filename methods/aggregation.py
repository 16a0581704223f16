"""Multi-task learning in which torchjd aggregates the gradients of both tasks for the backbone."""

from __future__ import annotations

from torchjd.aggregation import Aggregator
from torchjd.autojac import jac_to_grad, mtl_backward

from methods.base import Scalars
from methods.multitask import Multitask, TaskLosses


class Aggregated(Multitask):
    """Multi-task learning with gradient aggregation.

    Each classifier follows the gradient of its own loss. The backbone follows the aggregated gradient.
    """

    def make_aggregator(self) -> Aggregator:
        """The rule that aggregates the gradients (2, n) of the tasks to one gradient (n,)."""
        raise NotImplementedError

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """One step along the aggregated gradient."""
        shared = list(self.net.backbone.parameters())
        self.optimizer.zero_grad(set_to_none=True)
        # One task at a time, since batch normalisation does not work under vmap in every backbone.
        mtl_backward([losses.au, losses.fe], losses.shared, shared_params=shared, parallel_chunk_size=1)
        jac_to_grad(shared, self.make_aggregator())
        self.take_step(step)
        return {}
