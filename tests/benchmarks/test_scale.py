"""A store and a grid of a hundred thousand trials: `status`, expansion with the check of what is done, and the report.

`pytest tests/benchmarks/test_scale.py --benchmark-only`; `docs/scale.md` says what it gave.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmark.cli.console import standings, status_page
from benchmark.config.profile import load_profile
from benchmark.config.trial import Trial
from benchmark.core.hashing import digest_of_file
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.folder import DONE, TrialFolder
from benchmark.store.summary import summaries
from benchmark.trials.states import State, source_hashes, summary_state
from methods import discover
from tests.grids import expanded

REGISTRY = discover()
METHODS = ("stl", "mtl", "mtan", "mal")
SEEDS = 8_334
TRIALS = len(METHODS) * len(BP4D.parts) * SEEDS
CUT_OFF = -(-TRIALS // 10)


def grid() -> list[Trial]:
    profile, changed = load_profile("standin")
    return expanded(BP4D, profile, changed, REGISTRY, ("a", "b"), methods=METHODS, seeds=tuple(range(SEEDS)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of trials of which nine in ten are done and one in ten was cut off."""
    runs, present = tmp_path_factory.mktemp("runs"), source_hashes(REGISTRY)
    for number, trial in enumerate(grid()):
        folder = trial.folder(runs)
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text(trial.model_dump_json(indent=1))
        made = {
            "source_hash": present[trial.method],
            "origin": "stand-in",
            "packages": {"torch": "2.9.0"},
            "steps": 800,
        }
        (folder / "provenance.json").write_text(json.dumps(made, indent=1))
        if number % 10:
            names = ("provenance.json", "trial.json")
            seals = [f"{digest_of_file(folder / name).hex()} {name}\n" for name in names]
            (folder / DONE).write_text("".join([f"{trial.key}\n", *seals]))
        else:
            TrialFolder(folder).lock.touch()  # somebody began it
    return runs


def test_status(benchmark, store: Path) -> None:
    present = source_hashes(REGISTRY)
    benchmark.pedantic(lambda: status_page(standings(store, present), every=False), rounds=3)
    found = Counter(summary_state(seen, present) for seen in summaries(store))
    assert found == {State.DONE: TRIALS - CUT_OFF, State.INTERRUPTED: CUT_OFF}
    benchmark.extra_info["trials"] = TRIALS


def test_expansion_and_the_check_of_what_is_done(benchmark, store: Path) -> None:
    def check() -> Counter[bool]:
        return Counter(TrialFolder(trial.folder(store)).is_done for trial in grid())

    found = benchmark.pedantic(check, rounds=3)
    assert found == {True: TRIALS - CUT_OFF, False: CUT_OFF}
    benchmark.extra_info["trials"] = TRIALS
