"""The training loop: seed, step, checkpoint, resume, score. It is the same for all methods and datasets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.core.errors import Abandoned, Interrupted
from benchmark.data.sampling import Fold, generator
from benchmark.data.trial_data import TrialData
from benchmark.store.folder import FE_WEIGHTS, TrialFolder
from benchmark.trials.normalisation import predictions_by_statistics
from benchmark.trials.scoring import diverged, predict_rows, score_test, weigh_fe
from benchmark.trials.setup import Setup, Streams, set_up
from benchmark.trials.snapshots import TESTED, VALIDATED, Looks, audit_tables, compact, look, moments
from methods.base import Finished, Method, Scalars, Stream

LOG_EVERY = 20
"""Steps between rows of the history: the paper's figures show a point every 20 iterations (§4.4)."""
EXPLODED = 1e6
"""Upper bound of a scalar in sound training; the sum of 12 cross-entropies starts at 8."""


@dataclass(frozen=True)
class RunOptions:
    """Options of a run; none of them changes a result on one kind of hardware.

    Attributes:
        device: Device of the training.
        checkpoint_s: Seconds between checkpoints; 0 for one after every step.
        on_step: Called after every step with (label of the trial, steps done, steps).
        stop: Called after every step and every scored batch; True makes the trial write a checkpoint and end with
            `Interrupted`.
        abandoned: Called after every step and before every write; True means that another process has taken the
            trial over: training ends with `Abandoned` and writes nothing.
    """

    device: torch.device
    checkpoint_s: float = 60.0
    on_step: Callable[[str, int, int], None] | None = None
    stop: Callable[[], bool] = lambda: False
    abandoned: Callable[[], bool] = lambda: False

    def check_owned(self, label: str) -> None:
        """Check that no other process has taken the trial over.

        Raises:
            Abandoned: `abandoned` returned True.
        """
        if self.abandoned():
            raise Abandoned(f"{label}: another process runs it")


@dataclass
class _Progress:
    """Results of the steps that are done.

    Attributes:
        step: Number of steps done.
        history: One row of scalars every `LOG_EVERY` steps.
        seconds: Training time in seconds, without looks.
        looks: Looks for the audit by number of steps done.
        look_seconds: Time of the looks in seconds.
    """

    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    looks: dict[int, Looks] = field(default_factory=dict)
    look_seconds: float = 0.0


_STORED = [f.name for f in fields(_Progress)]
"""Fields of the progress in a checkpoint."""


@dataclass(frozen=True)
class _Running:
    """A trial in training."""

    trial: Trial
    method: Method
    setup: Setup
    data: TrialData
    folder: TrialFolder
    options: RunOptions
    sources: str

    @property
    def moments(self) -> tuple[int, ...]:
        """Moments of the looks for the audit, as numbers of steps done; none without a test frame."""
        if self.setup.fold is None or not len(self.setup.fold.test):
            return ()
        return moments(self.setup.spec.steps, self.trial.train.snapshots)

    @property
    def fold(self) -> Fold:
        """Split of a trial that learns from AU frames."""
        assert self.setup.fold is not None
        return self.setup.fold

    def look(self, step: int) -> Looks:
        """Predictions of the AU validation and the test frames after so many steps."""
        return look(self.trial, self.method, self.setup.images, self.data.au, self.fold, self.options.stop, step)


def train_trial(
    trial: Trial,
    method_class: type[Method],
    protocol: Protocol,
    data: TrialData,
    folder: TrialFolder,
    options: RunOptions,
    sources: str = "",
    prerequisites: Mapping[str, Finished] | None = None,
) -> dict[str, Any]:
    """Train and score one trial, from its checkpoint if it has one, and write its tables and weights.

    A trial without test subjects is not scored.

    Args:
        trial: The trial.
        method_class: Method of the trial.
        protocol: Protocol of the AU dataset.
        data: The frames.
        folder: Folder of the trial's files.
        options: Device, checkpoints, progress.
        sources: Hash of the code; a checkpoint of other code is ignored.
        prerequisites: Finished trials that this one starts from, by role.

    Returns:
        Facts for the provenance: `steps`, `parameters`, `time_train_s`, `time_audit_s`, `frames`.

    Raises:
        UserError: A loss is not finite or explodes, the checkpoint is damaged, or the method is a control and the data
            are no stand-in.
        Interrupted: `options.stop` returned True; a checkpoint holds the steps done.
        Abandoned: `options.abandoned` returned True; nothing was written since.
    """
    setup = set_up(trial, method_class, protocol, data, options.device, prerequisites)
    fold = setup.fold
    with seeded(trial.seed, options.device):
        method = method_class.build(method_class.HParams.model_validate(trial.hparams), setup.spec, options.device)
        running = _Running(trial, method, setup, data, folder, options, sources)
        progress = _learn(running)
        tables = {"history.parquet": pd.DataFrame(progress.history)}
        try:
            if fold is not None and len(fold.test):
                tables |= score_test(trial, method, setup.images, data.au, fold, options.stop)
                tables |= _audited(running, progress, tables["predictions.parquet"])
            fe_weights = weigh_fe(trial, method, setup.images, data.fe, options.stop)
        except Interrupted:  # keep the trained method, so that the next run only scores it
            _save_checkpoint(running, progress)
            raise
        if fe_weights is not None:
            tables[FE_WEIGHTS] = fe_weights
    for name, table in tables.items():
        options.check_owned(trial.label)
        folder.write_table(name, table)
    options.check_owned(trial.label)
    folder.save_model(method.state_dict())
    frames = {"train": len(fold.train), "au_val": len(fold.val), "test": len(fold.test)} if fold is not None else {}
    return {
        "steps": setup.spec.steps,
        "parameters": sum(p.numel() for p in method.parameters() if p.requires_grad),
        "time_train_s": round(progress.seconds, 3),
        "time_audit_s": round(progress.look_seconds, 3),
        "frames": frames,
    }


def _learn(running: _Running) -> _Progress:
    """Train to the last step.

    Raises:
        UserError: A value is not finite or explodes, or the checkpoint is damaged.
        Interrupted: `options.stop` returned True; a checkpoint was written.
        Abandoned: `options.abandoned` returned True.
    """
    trial, method, options = running.trial, running.method, running.options
    steps, streams = running.setup.spec.steps, running.setup.streams
    done = _resumed(running)
    before = done.seconds
    due = {moment for moment in running.moments if moment < steps} - set(done.looks)
    unchecked: dict[int, Scalars] = {}
    method.train()
    began = saved = time.monotonic()
    for step, batch in enumerate(streams.batches(method.streams, done.step, steps), start=done.step):
        if step in due:
            if unchecked:
                check_scalars(unchecked, trial, streams, method.streams)
                unchecked = {}
            began += _look(running, done)
        unchecked[step] = take_step(trial, method, batch, step)
        if step % LOG_EVERY == 0 or step == steps - 1:  # all at once, since reading a number waits for the GPU
            done.history.append({"step": step, **check_scalars(unchecked, trial, streams, method.streams)})
            unchecked = {}
        done.step = step + 1
        if options.on_step is not None:
            options.on_step(trial.label, step + 1, steps)
        options.check_owned(trial.label)
        now, stopping = time.monotonic(), options.stop()
        done.seconds = before + now - began
        if stopping or (now - saved >= options.checkpoint_s and step + 1 < steps):
            if unchecked:  # a checkpoint never holds a diverged method
                check_scalars(unchecked, trial, streams, method.streams)
                unchecked = {}
            _save_checkpoint(running, done)
            saved = time.monotonic()
        if stopping:
            raise Interrupted(f"{trial.label}: {step + 1} of {steps} steps done")
    done.seconds = before + time.monotonic() - began
    return done


def _look(running: _Running, done: _Progress) -> float:
    """Look at the method in training, and return the seconds that it took.

    Raises:
        UserError: Logits are not finite.
        Interrupted: `options.stop` returned True; a checkpoint was written.
    """
    began = time.monotonic()
    try:
        done.looks[done.step] = running.look(done.step)
    except Interrupted:
        _save_checkpoint(running, done)
        raise
    taken = time.monotonic() - began
    done.look_seconds += taken
    return taken


def _audited(running: _Running, progress: _Progress, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Files of the audit by name, after a last look at the trained method; none without snapshots."""
    if not running.moments:
        return {}
    trial, method, setup = running.trial, running.method, running.setup
    au, fold, stop = running.data.au, running.fold, running.options.stop
    began = time.monotonic()
    validated = predict_rows(trial, method, setup.images, au.frames, fold.val, stop)
    tested = predictions[[f"logit_{name}" for name in au.faces.label_names]].to_numpy(dtype=np.float32)
    normalised = predictions_by_statistics(trial, method, setup.streams, setup.images, au, fold.test, stop)
    last = {VALIDATED: validated, TESTED: tested, **normalised}
    progress.looks[progress.step] = {kind: compact(logits) for kind, logits in last.items()}
    tables = audit_tables(progress.looks, predictions, au, fold)
    progress.look_seconds += time.monotonic() - began
    return tables


def take_step(trial: Trial, method: Method, batch: Mapping[Stream, Any], step: int) -> Scalars:
    """Update a method once. The seed is a function of the step, so a resumed trial needs no generator state."""
    torch.manual_seed(int(generator(trial.seed, "update", step).integers(2**62)))
    return method.update(batch, step)


def _resumed(running: _Running) -> _Progress:
    """Load the checkpoint into the method and return its progress; no steps if there is no checkpoint of this code."""
    checkpoint = running.folder.load_checkpoint()
    if checkpoint is None or checkpoint["sources"] != running.sources:
        return _Progress()
    running.method.load_training_state(checkpoint["method"])
    return _Progress(**{name: checkpoint[name] for name in _STORED})


def _save_checkpoint(running: _Running, progress: _Progress) -> None:
    """Write a checkpoint with the results of the steps done.

    Raises:
        Abandoned: `options.abandoned` returned True; nothing was written.
    """
    state = {
        "sources": running.sources,
        **{name: getattr(progress, name) for name in _STORED},
        "method": running.method.training_state(),
    }
    running.options.check_owned(running.trial.label)
    running.folder.save_checkpoint(state)


def check_scalars(
    unchecked: Mapping[int, Scalars], trial: Trial, streams: Streams, used: frozenset[Stream]
) -> dict[str, float]:
    """Check the scalars of these steps and return the last ones as numbers.

    Raises:
        UserError: A scalar of a step is not finite, or too large; the error names the images of its batch.
    """
    for step, scalars in unchecked.items():
        names = list(scalars)
        values = torch.stack([scalars[name].double() for name in names]).tolist() if names else []
        wrong = [
            f"{name} = {value}"
            for name, value in zip(names, values, strict=True)
            if not math.isfinite(value) or abs(value) > EXPLODED
        ]
        if wrong:
            batch = "; ".join(f"{stream}: {' '.join(paths)}" for stream, paths in streams.names(used, step).items())
            raise diverged(f"{trial.label}, step {step}", f"{', '.join(wrong)}, in the batch {batch}")
    return dict(zip(names, values, strict=True))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch and use deterministic kernels in the block; restore the previous state at its end."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling every new tensor would cost time, and only helps code that reads uninitialised memory.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
