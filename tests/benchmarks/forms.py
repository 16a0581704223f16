"""MAL's iteration with Eq. 7 done by others: double backward, `higher`, TorchOpt. For comparison alone.

Each is written as its library's documentation has it, with what helps it: gradients of the step before are dropped
first, only ψ is differentiated in the outer step, graphs are dropped before base-learning, and base-learning is MAL's
own. One keeps TorchOpt's graph for base-learning instead, as `keep_graph` does for MAL.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.backbone import batch_norm_buffers_untouched
from methods.base import Batch, Method, Samples, Scalars, Stream
from methods.losses import au_loss
from methods.mal import MAL
from methods.meta_gradient import Params, double_backward


class Reference(MAL):
    """Algorithm 1 around a meta-gradient that a subclass computes; the libraries' take weights for constants (A1)."""

    def meta_gradient(self, au: Samples, fe: Samples, val: Samples, psi: Params) -> Params:
        raise NotImplementedError

    def update(self, batch: Batch, step: int) -> Scalars:
        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        self.optimizer.zero_grad(set_to_none=True)
        psi = dict(self.meta_net.named_parameters())
        with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
            self.meta_step(self.meta_gradient(au, fe, val, psi), psi)
        self.base_step(*self.losses_and_look(self.net(au.images, fe.images), au, fe), len(au.images), step)
        return {}

    def meta_step(self, found: Params, psi: Params) -> None:
        """Eq. 8."""
        for name, parameter in psi.items():
            parameter.grad = found[name]
        self.meta_optimizer.step()

    def base_step(self, losses: Tensor, seen: Tensor, n_au: int, step: int) -> None:
        """Eq. 9 to 11 from the losses of a forward pass."""
        psi = {name: p.detach() for name, p in self.meta_net.named_parameters()}
        seen = seen.detach() if self.reading == "constant" else seen
        self.descend((self.weigh(psi, seen, n_au) * losses).sum(), step)

    def total(self, net: torch.nn.Module, au: Samples, fe: Samples, psi: Params) -> Tensor:
        """L_total (Eq. 5)."""
        losses, seen = self.losses_and_look(net(au.images, fe.images), au, fe)
        return (self.weigh(psi, seen.detach(), len(au.images)) * losses).sum()

    def outer(self, net: torch.nn.Module, val: Samples, psi: Params, *, retain_graph: bool = False) -> Params:
        """∇_ψ L_val at the parameters that the net has now."""
        loss = au_loss(net(val.images).au_logits, val.labels, self.class_weights.to(val.images.dtype)).mean()
        found = torch.autograd.grad(loss, list(psi.values()), retain_graph=retain_graph)
        return dict(zip(psi, found, strict=True))


class DoubleBackward(Reference):
    """`methods.meta_gradient.double_backward`."""

    def meta_gradient(self, au: Samples, fe: Samples, val: Samples, psi: Params) -> Params:
        theta = dict(self.net.named_parameters())
        return double_backward(
            self.per_sample(au, fe),
            lambda at: self.val_loss(at, val),
            theta,
            self.hparams.alpha,
            lambda psi, seen: self.weigh(psi, seen, len(au.images)),
            {n: p.detach() for n, p in psi.items()},
            self.reading,
        )


class Higher(Reference):
    """https://github.com/facebookresearch/higher: a functional copy of the net and a differentiable SGD."""

    def meta_gradient(self, au: Samples, fe: Samples, val: Samples, psi: Params) -> Params:
        import higher

        inner = torch.optim.SGD(self.net.parameters(), lr=self.hparams.alpha)
        with (
            batch_norm_buffers_untouched(self.net),
            higher.innerloop_ctx(self.net, inner, copy_initial_weights=True) as (net, optimizer),
        ):
            optimizer.step(self.total(net, au, fe, psi))
            return self.outer(net, val, psi)


class TorchOpt(Reference):
    """https://github.com/metaopt/torchopt: MetaSGD on the net, whose state is put back afterwards."""

    def meta_gradient(self, au: Samples, fe: Samples, val: Samples, psi: Params) -> Params:
        import torchopt

        optimizer = torchopt.MetaSGD(self.net, lr=self.hparams.alpha)
        before = torchopt.extract_state_dict(self.net, by="reference")
        try:
            with batch_norm_buffers_untouched(self.net):
                optimizer.step(self.total(self.net, au, fe, psi))
                return self.outer(self.net, val, psi)
        finally:
            torchopt.recover_state_dict(self.net, before)


class TorchOptKept(Reference):
    """TorchOpt, whose graph of the forward pass lasts until base-learning: one forward pass less."""

    def update(self, batch: Batch, step: int) -> Scalars:
        import torchopt

        au, fe, val = batch[Stream.AU], batch[Stream.FE], batch[Stream.AU_VAL]
        self.optimizer.zero_grad(set_to_none=True)
        psi = dict(self.meta_net.named_parameters())
        optimizer = torchopt.MetaSGD(self.net, lr=self.hparams.alpha)
        before = torchopt.extract_state_dict(self.net, by="reference")
        losses, seen = self.losses_and_look(self.net(au.images, fe.images), au, fe)
        try:
            optimizer.step((self.weigh(psi, seen.detach(), len(au.images)) * losses).sum())
            with batch_norm_buffers_untouched(self.net):
                found = self.outer(self.net, val, psi, retain_graph=True)
        finally:
            torchopt.recover_state_dict(self.net, before)
        del optimizer
        self.meta_step(found, psi)
        self.base_step(losses, seen, len(au.images), step)
        return {}


class Kept(MAL):
    """MAL with `keep_graph`."""

    class HParams(MAL.HParams):
        keep_graph: bool = True


FORMS: dict[str, type[Method]] = {
    "MAL": MAL,
    "MAL, graph kept": Kept,
    "MAL by double backward": DoubleBackward,
    "MAL by higher": Higher,
    "MAL by TorchOpt": TorchOpt,
}
"""The rows of the cost table beside MTL."""
