"""Made-up counts of methods."""

from __future__ import annotations

import numpy as np

from benchmark.stats.counts import MethodCounts, PartCounts

AUS = ("AU1", "AU2")


def method(*parts: list[list[list[list[int]]]], subjects: tuple[tuple[str, ...], ...] = ()) -> MethodCounts:
    """Counts from nested lists, (R, S, J, 4) a part."""
    made = []
    for i, nested in enumerate(parts):
        counts = np.array(nested, dtype=np.int64)
        names = subjects[i] if subjects else tuple(f"p{i}s{k}" for k in range(counts.shape[1]))
        made.append(PartCounts(f"part{i + 1}", names, counts))
    first = made[0].counts
    return MethodCounts(AUS[: first.shape[2]], tuple(range(len(first))), tuple(made))


def random_method(
    seed: int, *, seeds: int = 2, sizes: tuple[int, ...] = (5, 4), cells: int = 3, low: int = 0
) -> MethodCounts:
    rng = np.random.default_rng(seed)
    parts = tuple(
        PartCounts(f"part{i}", tuple(f"{i}-{s}" for s in range(n)), rng.integers(low, 20, (seeds, n, cells, 4)))
        for i, n in enumerate(sizes)
    )
    return MethodCounts(tuple(f"AU{j}" for j in range(cells)), tuple(range(seeds)), parts)
