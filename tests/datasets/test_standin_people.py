"""No drawn person stands in two datasets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmark.config.settings import StandinSettings
from benchmark.datasets.bp4d import standin as bp4d
from benchmark.datasets.disfa import standin as disfa
from benchmark.datasets.gft import standin as gft
from benchmark.standin.drawn.identity import Identity, draw_identity
from benchmark.standin.pictures import Word, seeded_generator


@pytest.mark.parametrize("seed", [0, 2, 100, 102, 200, 202])  # also those that are words of another stream
def test_people_of_the_datasets_are_drawn_apart(seed: int) -> None:
    people: dict[str, set[Identity]] = {
        "bp4d": {
            draw_identity(seeded_generator(StandinSettings(seed=seed), Word.PERSON, number))
            for number in range(len(bp4d.SUBJECTS))
        },
        "disfa": {draw_identity(np.random.default_rng([seed, disfa._PERSON, number])) for number in range(27)},
        "gft": {draw_identity(np.random.default_rng([seed, gft._PERSON, number])) for number in range(96)},
    }
    assert [len(drawn) for drawn in people.values()] == [41, 27, 96]
    for one, other in combinations(people.values(), 2):
        assert not one & other
