"""Multi-task learning whose shared gradient is put together from the two tasks' gradients by torchjd."""

from __future__ import annotations

from torchjd.aggregation import Aggregator
from torchjd.autojac import jac_to_grad, mtl_backward

from methods.base import Scalars
from methods.multitask import Multitask, TaskLosses


class Aggregated(Multitask):
    """Each classifier follows its own loss; the backbone follows what an aggregator makes of both gradients."""

    def make_aggregator(self) -> Aggregator:
        """The rule that makes one gradient (n,) of the tasks' gradients (2, n)."""
        raise NotImplementedError

    def learn(self, losses: TaskLosses, step: int) -> Scalars:
        """One step along the aggregated gradient."""
        shared = list(self.net.backbone.parameters())
        self.optimizer.zero_grad(set_to_none=True)
        # One task at a time: batch normalisation of any backbone then needs no vmap.
        mtl_backward([losses.au, losses.fe], losses.shared, shared_params=shared, parallel_chunk_size=1)
        jac_to_grad(shared, self.make_aggregator())
        self.take_step(step)
        return {}
