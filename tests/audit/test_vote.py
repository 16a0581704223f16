"""Votes over windows, against loops over frames."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.audit.thresholds import average_f1
from benchmark.audit.vote import PERCENTILES, RADII, Vote, best_vote, voted

SEQUENCES = np.array([0] * 9 + [1] * 2 + [2] * 14)


def by_loop(active: np.ndarray, vote: Vote) -> np.ndarray:
    made = np.zeros_like(active)
    for i, sequence in enumerate(SEQUENCES):
        inside = np.flatnonzero(sequence == SEQUENCES)
        window = np.clip(np.arange(i - vote.radius, i + vote.radius + 1), inside[0], inside[-1])
        made[i] = active[window].sum(axis=0) >= vote.needed
    return made


@pytest.mark.parametrize("radius", RADII)
def test_a_vote_counts_the_frames_around_in_the_sequence(radius: int) -> None:
    active = np.random.default_rng(radius).random((len(SEQUENCES), 3)) < 0.5
    for needed in range(1, 2 * radius + 2):
        vote = Vote(radius, needed)
        assert np.array_equal(voted(active, SEQUENCES, vote), by_loop(active, vote))


def test_the_best_vote_is_that_of_trying_all() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 0, 1], size=(len(SEQUENCES), 2)).astype(np.int8)
    scores = rng.normal(size=labels.shape) + 0.5 * (labels == 1)
    tried = {
        (t, vote): average_f1(voted(scores > t, SEQUENCES, vote), labels)
        for t in [0.0, *np.percentile(scores, PERCENTILES[::7])]
        for vote in (Vote(r, n) for r in RADII for n in range(1, 2 * r + 2))
    }
    threshold, vote = best_vote(scores, labels, SEQUENCES)
    assert average_f1(voted(scores > threshold, SEQUENCES, vote), labels) >= max(tried.values())
