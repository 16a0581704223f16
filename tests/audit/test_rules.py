"""Honest rules never see a test row; the others raise the score of random predictions as much as luck can."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest

from benchmark.audit.counts import audit_counts, honest_choices
from benchmark.audit.frames import TestFrames, ValidationFrames
from benchmark.audit.rules import HONEST, LOOKING, TestRule
from benchmark.core.f1 import f1

FRAMES, RATE, MOMENTS, RUNS = 100, 0.3, 5, 150


def frames(
    seed: int, kind: type[ValidationFrames | TestFrames] = TestFrames, count: int = FRAMES, aus: int = 1
) -> ValidationFrames | TestFrames:
    """Random logits, uniform between −1 and 1, and labels that have nothing to do with them."""
    rng = np.random.default_rng([seed, kind is TestFrames])
    logits = rng.uniform(-1, 1, size=(MOMENTS, count, aus))
    labels = (rng.random((count, aus)) < RATE).astype(np.int8)
    subject = np.full(count, "tested" if kind is TestFrames else "trained", dtype=object)
    more = {"sequences": np.arange(count) // 10} if kind is TestFrames else {}
    return kind(logits, labels, subject, **more)


def score(audit: pd.DataFrame, rule: str, labels: np.ndarray) -> float:
    tp, fp = audit.loc[audit["rule"] == rule, ["tp", "fp"]].sum()
    return float(f1(np.array([tp, fp, labels.sum() - tp])))


@pytest.fixture(scope="module")
def played() -> dict[str, np.ndarray]:
    """F1 of many random predictions by rule."""
    scores: dict[str, list[float]] = {}
    for run in range(RUNS):
        test = frames(run)
        audit = audit_counts(test, frames(run, ValidationFrames), ("AU1",))
        for rule in audit["rule"].unique():
            scores.setdefault(rule, []).append(score(audit, rule, test.labels))
        positives = int(test.labels.sum())
        scores.setdefault("always", []).append(2 * positives / (FRAMES + positives))
    return {rule: np.array(values) for rule, values in scores.items()}


def simulated(rule: str) -> np.ndarray:
    """F1 of random predictions under a rule, drawn without any of the suite's code."""
    rng = np.random.default_rng(7)
    made = []
    for _ in range(8 * RUNS):
        positives = rng.binomial(FRAMES, RATE)

        def of_share(share: float, positives: int = positives) -> float:
            tp, fp = rng.binomial(positives, share), rng.binomial(FRAMES - positives, share)
            return 2 * tp / (tp + fp + positives)

        if rule == "moment_test":
            made.append(max(of_share(0.5) for _ in range(MOMENTS)))
        elif rule == "moment_val":
            made.append(of_share(0.5))
        else:
            labels = rng.random(FRAMES) < RATE
            active = np.arange(1, FRAMES + 1)
            curve = 2 * labels.cumsum() / (active + labels.sum())  # frames in a random order become active
            if rule in {"common_test", "by_au_test"}:
                made.append(curve.max())
            else:  # the share that was best on other frames, of whom as many are active here
                made.append(of_share(min(1.0, active[curve.argmax()] / FRAMES)))
    return np.array(made)


@pytest.mark.parametrize("rule", ["moment_val", "moment_test", "common_val", "by_au_val", "common_test", "by_au_test"])
def test_random_predictions_gain_what_an_independent_simulation_gives(rule: str, played: dict[str, np.ndarray]) -> None:
    ours, theirs = played[rule], simulated(rule)
    error = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
    assert abs(ours.mean() - theirs.mean()) < 4 * error


def test_no_honest_rule_beats_the_best_blind_detector_and_every_other_one_does(played: dict[str, np.ndarray]) -> None:
    def above_always(rule: str) -> float:
        """Distance from a detector that is always active, in standard errors: no blind one has a higher expectation."""
        above = played[rule] - played["always"]
        return float(above.mean() / (above.std() / np.sqrt(RUNS) + 1e-12))

    assert all(above_always(rule.name) < 3 for rule in HONEST[1:])
    # At a threshold of .5 half of the frames are active, and the best moment is still below.
    assert all(above_always(rule.name) > 3 for rule in LOOKING if rule.name != "moment_test")
    luck = played["moment_test"] - played["moment_val"]
    assert luck.mean() > 3 * luck.std() / np.sqrt(RUNS)


CHOOSERS = [rule for rule in HONEST if rule.choose is not None]


class Disguised(ValidationFrames):
    """Test frames under the name of validation frames."""


@pytest.mark.parametrize("rule", CHOOSERS, ids=lambda rule: rule.name)
def test_an_honest_chooser_refuses_all_but_validation_frames(rule) -> None:
    test = frames(0)
    with pytest.raises(TypeError, match="chooses on AU validation frames alone, not on TestFrames"):
        rule.chosen(test)
    with pytest.raises(TypeError, match="not on Disguised"):
        rule.chosen(Disguised(test.logits, test.labels, test.subjects))
    assert rule.chosen(None) is None


def test_no_interface_hands_test_frames_to_an_honest_rule() -> None:
    assert set(inspect.signature(honest_choices).parameters) == {"validation", "several"}
    assert not any(isinstance(rule, TestRule) for rule in HONEST)


def test_validation_frames_of_a_test_subject_are_refused() -> None:
    test = frames(0)
    smuggled = ValidationFrames(test.logits, test.labels, test.subjects)
    with pytest.raises(ValueError, match="AU validation frames of a test subject: tested"):
        audit_counts(test, smuggled, ("AU1",))


def test_other_test_labels_change_no_honest_prediction() -> None:
    test, validation = frames(1, aus=3), frames(1, ValidationFrames, aus=3)
    other = TestFrames(test.logits, frames(2, aus=3).labels, test.subjects, test.sequences)
    aus = ("AU1", "AU2", "AU4")
    active = [
        audit_counts(side, validation, aus)
        .assign(active=lambda t: t["tp"] + t["fp"])
        .pivot_table("active", "rule", "au")
        for side in (test, other)
    ]
    same = (active[0] == active[1]).all(axis=1)
    assert all(same[rule.name] for rule in HONEST[1:])
    assert not any(same[rule.name] for rule in LOOKING if not rule.moments)


def test_without_validation_frames_or_moments_rules_have_no_rows() -> None:
    test = frames(0)
    one = TestFrames(test.logits[:1], test.labels, test.subjects, test.sequences)
    made = set(audit_counts(one, None, ("AU1",))["rule"])
    assert made == {"vote_fixed", "common_test", "by_au_test", "vote_test"}
