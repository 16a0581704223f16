"""Components of variance against simulations whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.stats.components import components, deviation_interval


def simulated(split: float, seed: float, rest: float, rng: np.random.Generator, splits: int = 10, seeds: int = 3):
    of_split, of_seed = rng.normal(0, split, (splits, 1)), rng.normal(0, seed, (1, seeds))
    return 50 + of_split + of_seed + rng.normal(0, rest, (splits, seeds))


@pytest.mark.parametrize(("split", "seed", "rest"), [(2.0, 1.0, 0.5), (0.5, 0.5, 2.0), (3.0, 0.0, 1.0)])
def test_components_are_unbiased(split: float, seed: float, rest: float) -> None:
    rng = np.random.default_rng(0)
    splits, seeds = 40, 40  # large, so that few estimates are below 0 and set to 0
    made = [components(simulated(split, seed, rest, rng, splits, seeds)) for _ in range(60)]
    found = [np.mean([getattr(m, name) ** 2 for m in made]) for name in ("split", "seed", "rest")]
    assert found == pytest.approx([split**2, seed**2, rest**2], rel=0.1, abs=0.02)


def test_noise_of_training_alone_is_not_called_split() -> None:
    rng = np.random.default_rng(1)
    made = [components(simulated(0, 0, 1, rng)) for _ in range(400)]
    assert np.mean([m.split**2 for m in made]) < 0.12  # the spread of a mean of three is 0.33
    assert np.mean([m.rest**2 for m in made]) == pytest.approx(1, abs=0.05)


def test_one_seed_has_no_components() -> None:
    made = components(np.array([[1.0], [2.0]]))
    assert np.isnan([made.split, made.seed, made.rest]).all()


def test_interval_of_a_deviation_holds_it() -> None:
    rng = np.random.default_rng(2)
    held = [deviation_interval(float(rng.normal(size=10).std(ddof=1)), 9).holds(1.0) for _ in range(2000)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)
    assert np.isnan(deviation_interval(0.0, 0).low)
