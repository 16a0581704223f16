"""Verification of finished trials by the present code."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError

from benchmark.api.data import LoadedData, load_data
from benchmark.api.grid import find_device
from benchmark.api.listener import SILENT, Listener
from benchmark.config.protocol import ALL
from benchmark.config.trial import TRAINED, Trial
from benchmark.core.errors import UserError, near_keys
from benchmark.core.f1 import f1
from benchmark.core.hashing import digest_of_json
from benchmark.core.machine import available_cores
from benchmark.store.folder import TrialFolder, trial_folders
from benchmark.store.record import read_trial
from benchmark.store.results import Results
from benchmark.trials.expand import profile_of
from benchmark.trials.prerequisites import read_finished
from benchmark.trials.states import State, source_hashes, sources, state_of
from benchmark.trials.verify import (
    Agreement,
    Verification,
    verification_mark,
    verify_scores,
    verify_steps,
    write_mark,
)
from methods import Registry, discover

DIFFERS = Agreement.DIFFERS


def verify(
    runs: Path,
    *,
    results: Path | None = None,
    keys: Sequence[str] = (),
    steps: int = 41,
    every: bool = False,
    root: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    listener: Listener = SILENT,
) -> list[Verification]:
    """Verify finished trials of a store or of a results file, and mark those that agree as verified.

    A results file holds counts instead of predictions: F1 is computed from them again and compared with the scores.

    Args:
        runs: The store; for a results file, that of the stages that its trials start from.
        results: Results file to verify instead of the store. The marks are written into it.
        keys: Keys of trials of the store; none for all.
        steps: Steps that are repeated.
        every: Verify fresh trials, too; else only stale ones.
        root: Data root of the trials; None: the stand-in.
        cache: Folder of packed frames and stand-ins.
        device: Device of the steps; numbers agree best on the device of the trials.
        threads: CPU threads; numbers agree best with the number of the trials.
        listener: Receives progress.

    Returns:
        One outcome per trial.

    Raises:
        UserError: No such trial, a finished trial is damaged, or the file is no results file or cannot be written.

    Example:
        >>> from benchmark import api
        >>> [outcome.agreement.value for outcome in api.verify("runs", steps=5)]  # doctest: +SKIP
        ['bit for bit']
    """
    if results is not None and keys:
        raise UserError("--trial chooses among the trials of a store", remedy="leave --results or --trial out")
    torch.set_num_threads(threads or available_cores())
    finished = {trial.key: (trial, folder) for trial, folder in _finished(runs)}
    verifier = _Verifier(runs, discover(), find_device(device), steps, root, cache, listener, finished)
    return verifier.of_store(keys, every) if results is None else verifier.of_file(results, every)


def _of_network(trial: Trial, *, current: bool) -> Verification:
    """A trial on another dataset, which trains nothing and so has no step to repeat: its network's own trial decides.

    Args:
        trial: The trial.
        current: Whether the present sources made or verified the trial that trained the network.
    """
    if not current:
        what = "the trial of the network that it scores is not verified"
        return Verification(trial.label, trial.key, Agreement.UNKNOWN, what)
    return Verification(trial.label, trial.key, Agreement.EXACT, "its scores; the network has a trial of its own")


def _finished(runs: Path) -> list[tuple[Trial, TrialFolder]]:
    return [(read_trial(folder)[0], folder) for folder in trial_folders(runs) if folder.is_done]


@dataclass
class _Verifier:
    """Verifier of the trials of one store, which loads data once per dataset and profile."""

    runs: Path
    registry: Registry
    device: torch.device
    steps: int
    root: Path | None
    cache: Path | None
    listener: Listener
    finished: dict[str, tuple[Trial, TrialFolder]]
    _loaded: dict[tuple[str, str, str], LoadedData] = field(default_factory=dict)

    def of_store(self, keys: Sequence[str], every: bool) -> list[Verification]:
        """Verify trials of the store."""
        for key in keys:
            if key not in self.finished:
                raise UserError(
                    f"no finished trial '{key}'",
                    where=self.runs,
                    found=near_keys(key, {known: trial.label for known, (trial, _) in self.finished.items()}),
                    remedy="name one of these with --trial; `malbench status --all` lists every trial",
                )
        chosen = [self.finished[key] for key in keys] if keys else list(self.finished.values())
        wanted = [(trial, folder) for trial, folder in chosen if every or keys or self.is_stale(trial, folder)]
        wanted.sort(key=lambda pair: pair[0].tested is not None)  # networks before the trials that score them
        outcomes = []
        for number, (trial, folder) in enumerate(wanted):
            outcomes.append(self.outcome(trial, folder))
            self.listener.progress("verifying trials", number + 1, len(wanted))
        return outcomes

    def of_file(self, file: Path, every: bool) -> list[Verification]:
        """Verify the trials of a results file, and write the marks into it."""
        present = source_hashes(self.registry)
        results = Results.read(file).mark_stale(present)
        trials = results.trials
        wanted = trials[trials["stale"] | every]
        wanted = wanted.sort_values("tested", key=lambda tested: tested != "", kind="stable")  # networks first
        outcomes, made = [], dict(zip(trials["trial"], trials["provenance"], strict=True))
        current = set(trials.loc[~trials["stale"], "trial"])
        for number, row in enumerate(wanted.to_dict("records")):
            key = str(row["trial"])
            outcome = self.outcome_of_row(str(row["settings"]), key, results, json.loads(made[key]), current)
            outcomes.append(outcome)
            if outcome.agreement.verifies:
                mark = verification_mark(outcome, present[str(row["method"])], self.device)
                current.add(key)
                made[key] = json.dumps({**json.loads(made[key]), "verified": mark}, sort_keys=True)
            self.listener.progress("verifying trials", number + 1, len(wanted))
        marked = trials.assign(provenance=[made[key] for key in trials["trial"]])
        replace(results, trials=marked).mark_stale(present).write(file)
        return outcomes

    def is_stale(self, trial: Trial, folder: TrialFolder) -> bool:
        """Whether other sources than the present ones made and last verified a trial."""
        return state_of(folder, {trial.method: sources(self.registry.any(trial.method))}) == State.STALE

    def outcome(self, trial: Trial, folder: TrialFolder) -> Verification:
        """Verify one trial, and mark it if it agrees."""
        try:
            of_scores, detail = verify_scores(folder, folder.seals())
            if of_scores == Agreement.DIFFERS:
                return Verification(trial.label, trial.key, of_scores, detail)
            history = folder.read_table("history.parquet", folder.seals())
            if trial.tested is not None:
                network = self.finished.get(trial.prerequisites[TRAINED].key)
                made = _of_network(trial, current=network is not None and not self.is_stale(*network))
            else:
                made = self._repeat(trial, history, read_trial(folder)[1])
        except UserError as error:
            return Verification(trial.label, trial.key, Agreement.UNKNOWN, error.what)
        if made.agreement == Agreement.EXACT:  # of scores and steps, the worse counts
            made = replace(made, agreement=of_scores)
        if made.agreement.verifies:
            write_mark(folder, verification_mark(made, sources(self.registry.any(trial.method)), self.device))
        return made

    def outcome_of_row(
        self, settings: str, key: str, results: Results, made: Mapping[str, Any], current: Container[str]
    ) -> Verification:
        """Verify one trial of a results file; the present sources made or verified those in `current`."""
        try:
            trial = Trial.model_validate_json(settings)
        except ValidationError:  # rows of submitted predictions have no settings
            return Verification(key, key, Agreement.UNKNOWN, "it is no trial of this suite")
        counts = results.counts[results.counts["trial"] == key].groupby("au", sort=False)[["tp", "fp", "fn"]].sum()
        scores = results.scores[results.scores["trial"] == key].set_index("au")["f1"].reindex(counts.index)
        if not np.allclose(f1(counts.to_numpy()), scores.to_numpy(), rtol=0, atol=1e-12, equal_nan=True):
            return Verification(trial.label, key, Agreement.DIFFERS, "F1 of its counts is not its F1")
        curves = results.curves[results.curves["trial"] == key]
        history = curves.pivot_table("value", "step", "series", dropna=False).reset_index()
        if trial.tested is not None:
            return _of_network(trial, current=trial.prerequisites[TRAINED].key in current)
        try:
            return self._repeat(trial, history, made)
        except UserError as error:
            return Verification(trial.label, key, Agreement.UNKNOWN, error.what)

    def _repeat(self, trial: Trial, history: pd.DataFrame, made: Mapping[str, Any]) -> Verification:
        before = {}
        for role, prerequisite in trial.prerequisites.items():
            if prerequisite.key not in self.finished:
                raise UserError(
                    f"the trial {prerequisite.key} that it starts from is not in the store",
                    remedy="verify in the store that has both",
                )
            before[role] = read_finished(self.finished[prerequisite.key][0], self.registry, self.runs)
        loaded = self._load(trial, made)
        protocol, data = loaded.others.get(trial.dataset, (loaded.protocol, loaded.frames))
        return verify_steps(
            trial, self.registry.any(trial.method), protocol, data, history, self.steps, self.device, before
        )

    def _load(self, trial: Trial, made: Mapping[str, Any]) -> LoadedData:
        """Data of a trial; for a stage, those of a trial that starts from it."""
        user = self._user_of(trial)
        if user is not trial:
            made = read_trial(self.finished[user.key][1])[1]
        place = (user.dataset, user.profile, f"{user.shared_overrides} {digest_of_json(made.get('profile'))}")
        if place not in self._loaded:
            profile, changed = profile_of(user, made)
            settings = profile.model_copy(update={"data": user.data, "train": user.train})
            self._loaded[place] = load_data(
                user.dataset,
                profile=settings,
                overrides=changed,
                root=self.root,
                allow_incomplete=True,  # the fingerprint decides whether these are the data of the trial
                cache=self.cache,
                registry=self.registry,
                listener=Listener(progress=self.listener.progress),
            )
        return self._loaded[place]

    def _user_of(self, trial: Trial) -> Trial:
        if trial.part != ALL:
            return trial
        users = [t for t, _ in self.finished.values() if trial.key in {p.key for p in t.prerequisites.values()}]
        if not users:
            raise UserError("no finished trial of the store starts from this stage, so its data are not known")
        return self._user_of(users[0])
