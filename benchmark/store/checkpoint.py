"""Trees of values and tensors as safetensors files.

Not `torch.save`: that is a pickle, and loading a pickle runs whatever code is in it. No pickle is ever loaded here.

This module imports torch, so import it only to read or write tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError


def save_tree(path: Path, tree: Any) -> None:
    """Write nested dicts, lists, numbers, strings and tensors as one safetensors file, atomically.

    Args:
        path: File to write.
        tree: The values. Keys of dicts are strings, numbers, booleans or None; tuples become lists.

    Raises:
        OSError: The file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    plan = json.dumps(_flatten(tree, tensors))
    write_atomically(path, save(tensors, {"tree": plan, "digest": _digest(plan, tensors)}))


def load_tree(path: Path) -> Any:
    """Read a tree that `save_tree` wrote.

    Args:
        path: File to read.

    Returns:
        The tree, with its tensors on the CPU.

    Raises:
        UserError: The file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["digest"] != _digest(metadata["tree"], tensors):
            raise ValueError("its content is not what was written")
        return _unflatten(json.loads(metadata["tree"]), tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(
            "a checkpoint is damaged",
            where=path,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="delete this file: the trial then starts anew",
        ) from error


def save_state_dict(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a `state_dict` under its own names, so that any reader of safetensors can use it.

    Args:
        path: File to write.
        state: Tensors by name.

    Raises:
        OSError: The file cannot be written.
    """
    # `safetensors.torch.save_file` would make a file that only its owner can read.
    write_atomically(path, save({name: _own_copy(tensor) for name, tensor in state.items()}))


def load_state_dict(content: bytes) -> dict[str, Tensor]:
    """Tensors from the content of a file that `save_state_dict` wrote.

    Args:
        content: Content of the file.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        ValueError: The content is damaged.
    """
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _digest(plan: str, tensors: Mapping[str, Tensor]) -> str:
    """Digest of a tree: safetensors itself does not notice a changed tensor."""
    # In pieces: the bytes of all tensors together would raise the peak memory, which trials report.
    digest = blake2b(plan.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _own_copy(tensor: Tensor) -> Tensor:
    """A copy on the CPU with memory of its own: safetensors refuses tensors that share memory."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _flatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON form of a tree: tensors become names in `tensors`, dicts become pairs, so that keys keep their type."""
    if isinstance(node, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = _own_copy(node)
        return {"tensor": name}
    if isinstance(node, Mapping):
        return {"dict": [[key, _flatten(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"list": [_flatten(value, tensors) for value in node]}
    return {"value": node}


def _unflatten(node: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """The tree of a JSON form that `_flatten` made."""
    ((kind, content),) = node.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(value, tensors) for key, value in content}
    if kind == "list":
        return [_unflatten(value, tensors) for value in content]
    return content
