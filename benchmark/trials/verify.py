"""Verification of a finished trial by present code: repeat its first steps, and score its predictions again.

Moving or tidying code changes the hash of a method's sources, and so makes every result stale. A trial is marked as
verified by the present sources if the repeated steps agree with the stored history, and the counts of the stored
predictions with the stored counts. The check misses a change that only shows later in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.data.trial_data import TrialData
from benchmark.store.folder import AU_VAL, AUDIT, SNAPSHOTS, TrialFolder
from benchmark.trials.prerequisites import FinishedTrial, starting_from
from benchmark.trials.provenance import cpu_name
from benchmark.trials.scoring import tables_of_predictions
from benchmark.trials.setup import set_up
from benchmark.trials.snapshots import audit_of
from benchmark.trials.trainer import LOG_EVERY, check_scalars, seeded, take_step
from methods.base import Method

TOLERANCE = 1e-5
"""Relative tolerance of scalars: another processor or version of torch may cause such a difference."""


class Agreement(StrEnum):
    """Outcome of a verification."""

    EXACT = "bit for bit"
    CLOSE = "within 1e-5"
    DIFFERS = "differs"
    UNKNOWN = "cannot be verified"

    @property
    def verifies(self) -> bool:
        """Whether a trial with this outcome is marked as verified."""
        return self in {Agreement.EXACT, Agreement.CLOSE}


@dataclass(frozen=True)
class Verification:
    """Outcome of verifying one trial.

    Attributes:
        label: Readable name of the trial.
        key: Key of the trial.
        agreement: How well the numbers agree.
        detail: One sentence: the repeated steps, or the first difference.
        steps: Number of repeated steps.
    """

    label: str
    key: str
    agreement: Agreement
    detail: str
    steps: int = 0


def verify_steps(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    history: pd.DataFrame,
    steps: int,
    device: torch.device,
    before: Mapping[str, FinishedTrial] | None = None,
) -> Verification:
    """Repeat the first steps of a trial and compare them with its history.

    Args:
        trial: The trial.
        method_class: Method of the trial, from the present code.
        protocol: Protocol of the AU dataset.
        data: The frames, with the fingerprints of the trial.
        history: One row per logged step: `step`, and the scalars.
        steps: Largest number of steps to repeat.
        device: Device of the steps.
        before: Finished trials that this one starts from, by role.

    Raises:
        UserError: A repeated step diverges.
    """
    wanted = tuple(p for p in trial.fingerprints if p)
    if any(print_ not in data.fingerprints for print_ in wanted):
        return Verification(
            trial.label,
            trial.key,
            Agreement.UNKNOWN,
            f"the data are others: fingerprints {' and '.join(data.fingerprints)}, not {' and '.join(wanted)}",
        )
    learner, left = starting_from(trial, before or {})
    setup = set_up(learner, method_class, protocol, data, device, left)
    count = min(steps, setup.spec.steps)
    made = []
    with seeded(trial.seed, device):
        method = method_class.build(method_class.HParams.model_validate(learner.hparams), setup.spec, device)
        method.train()
        for step, batch in enumerate(setup.streams.batches(method.streams, 0, count)):
            scalars = {step: take_step(learner, method, batch, step)}
            if step % LOG_EVERY == 0 or step == setup.spec.steps - 1:
                made.append({"step": step, **check_scalars(scalars, learner, setup.streams, method.streams)})
    agreement, detail = compare_tables(pd.DataFrame(made), history[history["step"] < count])
    said = f"{count} steps repeated" if agreement != Agreement.DIFFERS else detail
    return Verification(trial.label, trial.key, agreement, said, count)


def compare_tables(made: pd.DataFrame, stored: pd.DataFrame) -> tuple[Agreement, str]:
    """Agreement of two numeric tables, and the first difference in words.

    Example:
        >>> a = pd.DataFrame({"step": [0], "loss_au": [8.25]})
        >>> compare_tables(a, a * (1 + 1e-7))[0].value
        'within 1e-5'
    """
    missing = sorted(set(stored.columns) ^ set(made.columns))
    if missing or len(made) != len(stored):
        return (
            Agreement.DIFFERS,
            f"other columns or rows: {', '.join(missing) or f'{len(made)} for {len(stored)} rows'}",
        )
    ours = made[list(stored.columns)].to_numpy(dtype=np.float64)
    theirs = stored.to_numpy(dtype=np.float64)
    if np.array_equal(ours, theirs, equal_nan=True):
        return Agreement.EXACT, ""
    close = np.isclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * 1e-3, equal_nan=True)
    if close.all():
        return Agreement.CLOSE, ""
    row, column = (int(i) for i in np.argwhere(~close)[0])
    name = stored.columns[column]
    step = f"step {int(theirs[row, list(stored.columns).index('step')])}: " if "step" in stored else ""
    return Agreement.DIFFERS, f"{step}{name} {ours[row, column]:.9g} for {theirs[row, column]:.9g}"


def verify_scores(folder: TrialFolder, seals: Mapping[str, str]) -> tuple[Agreement, str]:
    """Score the stored predictions of a trial again, and compare with its stored counts, scores and audit.

    A trial without test subjects has no predictions, and agrees.

    Raises:
        UserError: A file of the trial has changed.
    """
    if not (folder.path / "predictions.parquet").is_file():
        return Agreement.EXACT, ""
    predictions, worst = folder.read_table("predictions.parquet", seals), Agreement.EXACT
    columns = [str(name) for name in predictions]
    aus = tuple(name.removeprefix("logit_") for name in columns if name.startswith("logit_"))
    tables = tables_of_predictions(predictions, aus)
    if (folder.path / AUDIT).is_file():
        snapshots, reserve = (folder.read_table(name, seals) for name in (SNAPSHOTS, AU_VAL))
        tables[AUDIT] = audit_of(snapshots, reserve, predictions)
    for file, made in tables.items():
        stored = folder.read_table(file, seals)
        texts = [name for name in stored if name in {"rule", "subject", "au"}]
        if list(made.columns) != list(stored.columns) or not made[texts].equals(
            stored[texts].astype(made[texts].dtypes)
        ):
            return Agreement.DIFFERS, f"{file}: other rows"
        numbers = stored.columns.difference(texts, sort=False)
        agreement, detail = compare_tables(made[numbers], stored[numbers])
        if agreement == Agreement.DIFFERS:
            return agreement, f"{file}: {detail}"
        if agreement == Agreement.CLOSE:
            worst = agreement
    return worst, ""


def verification_mark(outcome: Verification, source_hash: str, device: torch.device) -> dict[str, Any]:
    """Facts of a verification, for the results.

    Args:
        outcome: A verification that agrees.
        source_hash: Hash of the sources that repeated the steps.
        device: Device of the steps.

    Raises:
        UserError: The outcome differs or is unknown.
    """
    if not outcome.agreement.verifies:
        raise UserError(
            f"{outcome.label} is not verified: {outcome.detail}",
            remedy="raise the method's version and run the trial again, or undo the change",
        )
    return {
        "source_hash": source_hash,
        "steps": outcome.steps,
        "agreement": str(outcome.agreement),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "torch": torch.__version__,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_mark(folder: TrialFolder, mark: Mapping[str, Any]) -> None:
    """Record a verification in the trial's folder."""
    folder.write_verification(mark)
