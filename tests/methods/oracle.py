"""Reference numbers (tests/oracle/README.md) and how they are compared with."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parents[1] / "oracle"
Archive = dict[str, np.ndarray]


def load(name: str) -> Archive:
    with np.load(FOLDER / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}


def same(value: Tensor | float, expected: np.ndarray, what: str = "") -> None:
    """Equal values: to 1e-9 relative, with as much of the largest for those that cancel to nearly nothing."""
    found = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    largest = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * max(largest, 1e-3), err_msg=what)


def same_gradient(value: Tensor, expected: np.ndarray, what: str = "", rounding: float = 0.0) -> None:
    """Equal gradients: to 1e-7 of the largest expected, and `rounding` for one that is zero but for rounding."""
    atol = 1e-7 * np.abs(expected).max(initial=0.0) + rounding
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=0, atol=atol, err_msg=what)


def raw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The uniform numbers of a name; also the probe of a tensor, under `probe.` and its name."""
    seed = zlib.crc32((name + "|0").encode())
    return np.random.RandomState(seed).uniform(-1, 1, size=shape)


def recipe(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weights that the reference gives to the tensor `name`, float64."""
    a = raw(name, shape)
    if name.endswith("running_var"):
        a = 1 + 0.5 * a
    elif name.endswith("running_mean"):
        a = 0.1 * a
    elif len(shape) >= 2:
        a = a * np.sqrt(1.5 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        a = 1 + 0.2 * a
    else:
        a = 0.1 * a
    return torch.from_numpy(np.asarray(a))


def fill(module: nn.Module, prefix: str = "", rename: dict[str, str] | None = None) -> None:
    """Give every tensor of a module the recipe's weights under `prefix` and its name; counters become zero."""
    state = module.state_dict()
    for name, tensor in state.items():
        reference = prefix + name
        for ours, theirs in (rename or {}).items():
            reference = reference.replace(ours, theirs)
        state[name] = recipe(reference, tuple(tensor.shape)) if tensor.is_floating_point() else torch.zeros_like(tensor)
    module.load_state_dict(state)


def images(archive: Archive, name: str) -> Tensor:
    return torch.from_numpy(archive[name].astype(np.float64) / 4)
