"""Parameters and operations of the paper's networks and of its training, counted on ours.

`tests/methods/test_operations.py` counts them anew.

The paper names a card and a time: 30 epochs in 54 hours on a Titan X of 12 GB (§4.1.2).
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from benchmark.core.errors import UserError

PEAK = 6.14e12
"""Single-precision operations a second of that card at its base clock: 3072 cores × 2 × 1.0 GHz (NVIDIA's data sheet
of the GeForce GTX Titan X)."""
HOURS, EPOCHS, BATCH = 54, 30, 64
"""§4.1.2."""
TRAINED = {"bp4d": 142_000 * 2 / 3}
"""Training frames of a fold (§4.1): two of three folds."""


@cache
def _counted() -> dict[tuple[str, str], int]:
    text = (resources.files("benchmark.paper") / "operations.csv").read_text(encoding="utf-8")
    return {(row["method"], row["name"]): int(row["value"]) for row in csv.DictReader(text.splitlines())}


def network_size(method: str, name: str) -> int:
    """Size of the network that a method keeps after training, with the paper's ResNet-34 and BP4D's 12 AUs.

    Args:
        method: Row of the paper's tables.
        name: `parameters`; or `operations`, floating-point operations of one image of 224 × 224 pixels.

    Raises:
        UserError: Not counted.

    Example:
        >>> network_size("MAL", "parameters")
        21290828
    """
    try:
        return _counted()[method, name]
    except KeyError:
        raise UserError(f"'{name}' of {method} is not counted", where="benchmark/paper/operations.csv") from None


def share_of_peak(method: str, dataset: str) -> float:
    """Operations of the paper's training over those that its card can do in the time that the paper gives.

    Args:
        method: Row of the paper's tables.
        dataset: Name of the dataset.

    Raises:
        UserError: Not counted.
    """
    steps = EPOCHS * TRAINED[dataset] / BATCH
    return steps * network_size(method, "step") / (HOURS * 3600 * PEAK)
