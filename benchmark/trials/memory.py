"""Out-of-memory errors of a device."""

from __future__ import annotations

import torch

from benchmark.core.errors import UserError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the device is out of memory; on a CPU only its text says so."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def too_little_memory(error: BaseException) -> UserError:
    """Out-of-memory error of torch as a `UserError`."""
    return UserError(
        "the device has too little memory",
        found=(str(error) or "no memory").splitlines()[0][:160],
        remedy="choose smaller batches with --set train.batch_au=N (and batch_fe, batch_val), or --amp",
    )
