"""Counts of a trial under every rule, by test subject and AU: enough for every table of the audit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.audit.frames import TestFrames, ValidationFrames, check_apart
from benchmark.audit.rules import HONEST, LOOKING, OURS, Choice
from benchmark.core.f1 import FloatArray
from benchmark.stats.scores import confusion_counts

COLUMNS = ["rule", "subject", "au", "tp", "fp"]


def audit_counts(
    test: TestFrames,
    validation: ValidationFrames | None,
    aus: tuple[str, ...],
    normalised: Mapping[str, FloatArray] | None = None,
) -> pd.DataFrame:
    """True and false positives of each rule but the suite's own, whose counts the trial has.

    Args:
        test: Test frames of the part.
        validation: AU validation frames of the trial; None if they are not known.
        aus: J names.
        normalised: Logits (N, J) of the test frames under other statistics of batch norm, by name.

    Returns:
        Columns `rule`, `subject`, `au`, `tp`, `fp`. A rule that lacks what it chooses on has no rows.

    Raises:
        ValueError: A subject has AU validation and test frames.
    """
    if validation is not None:
        check_apart(validation, test)
    several = len(test.logits) > 1
    made = []
    for name, choice in {**honest_choices(validation, several=several), **_looking(test, several=several)}.items():
        active = choice.predictions(test.logits, test.sequences)
        made.append(_counted(name, active, test, aus))
    for name, logits in (normalised or {}).items():
        made.append(_counted(name, logits > 0, test, aus))
    return pd.concat(made, ignore_index=True)


def honest_choices(validation: ValidationFrames | None, *, several: bool) -> dict[str, Choice]:
    """Choices of the honest rules but the suite's own, by name. They are made before a test frame is at hand.

    Args:
        validation: AU validation frames of the trial; None if they are not known.
        several: Whether there are several moments to choose among.

    Raises:
        TypeError: The frames are no AU validation frames.
    """
    chosen = {
        rule.name: rule.chosen(validation) for rule in HONEST if rule is not OURS and (several or not rule.moments)
    }
    return {name: choice for name, choice in chosen.items() if choice is not None}


def _looking(test: TestFrames, *, several: bool) -> dict[str, Choice]:
    return {rule.name: rule.choose(test) for rule in LOOKING if several or not rule.moments}


def _counted(name: str, active: npt.NDArray[np.bool_], test: TestFrames, aus: tuple[str, ...]) -> pd.DataFrame:
    signs = np.where(active, 1, -1).astype(np.float32)
    counts = confusion_counts(signs, test.labels, test.subjects, aus)
    return counts.assign(rule=name)[COLUMNS]
