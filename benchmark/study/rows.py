"""The trials that answer a question, as rows by method."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.trial import RENDERS, START
from benchmark.core.errors import UserError
from benchmark.report.cells import number
from benchmark.report.groups import Row, group_results
from benchmark.report.provenance import machine_of
from benchmark.store.results import Results
from benchmark.study.plan import Plan, Question, candidate_name
from benchmark.trials.expand import Selection, expand, shared_overrides
from benchmark.trials.prepare import Chosen
from methods import Registry

Digests = tuple[str, str]
"""Digests of the shared and the specific settings of a trial: `Trial.shared_digest` and `Trial.own_digest`."""


def digests_of(plan: Plan, registry: Registry) -> dict[str, dict[str, Digests]]:
    """Digests of the trials of each question under the present settings, by question and method.

    Raises:
        UserError: Two candidates of a choice have the same settings, or a setting is wrong.
    """
    digests = {}
    for question in plan.all_questions:
        profile, changed = load_profile(plan.profile, question.set)
        chosen = Chosen.open(plan.dataset, profile)
        trials = expand(profile, changed, registry, chosen.unread_sources, Selection(methods=question.methods))
        digests[question.name] = {trial.method: (trial.shared_digest, trial.own_digest) for trial in trials}
    for choice in plan.choices:
        name_of: dict[Digests, str] = {}
        for candidate, question in zip(choice.candidates, choice.questions, strict=True):
            made, name = digests[question.name][choice.method], candidate_name(candidate)
            if made in name_of:
                raise UserError(
                    f"two candidates of the choice '{choice.name}' are the same settings",
                    expected="candidates that differ from one another, and from the profile where one is empty",
                    found=f"'{name_of[made]}' and '{name}'",
                    remedy="take one out",
                )
            name_of[made] = name
    return digests


def question_rows(plan: Plan, question: Question, results: Results, digests: Mapping[str, Digests]) -> dict[str, Row]:
    """The question's rows by method, from the trials with its settings, parts and seeds only.

    Raises:
        UserError: The trials ran on several versions of the data.
    """
    # Settings of the stand-in change the data but no digest, so the overrides must match the question, too.
    _, changed = load_profile(plan.profile, question.set)
    trials = results.trials
    made = zip(trials["method"], trials["shared_digest"], trials["own_digest"], strict=True)
    asked = (
        (trials["dataset"] == plan.dataset)
        & (trials["shared_overrides"] == shared_overrides(changed))
        & trials["method"].isin(question.methods)
        & trials["part"].isin(parts_of(plan, question))
        & trials["seed"].isin(question.seeds)
        & np.array([digests.get(method) == (shared, specific) for method, shared, specific in made], dtype=bool)
    )
    if not asked.any():
        return {}
    groups = group_results(results.select(trials.loc[asked, "trial"]))
    versions = {group.fingerprint for group in groups}
    if len(versions) > 1:
        raise UserError(
            "trials on several versions of the data answer one question",
            where=question.name,
            expected="one fingerprint of images and labels",
            found=", ".join(sorted(versions)),
            remedy="take the older trials out of the store (the stand-in is drawn anew when its code changes)",
        )
    by_method = {row.method: row for group in groups for row in group.rows}
    return {method: by_method[method] for method in question.methods if method in by_method}


def parts_of(plan: Plan, question: Question) -> tuple[str, ...]:
    """Test parts of a question."""
    profile, _ = load_profile(plan.profile, question.set)
    return question.parts or tuple(datasets.open_au(plan.dataset, profile).protocol.parts)


def missing(plan: Plan, answered: Sequence[tuple[Question, Mapping[str, Row]]]) -> str:
    """Number of trials of the questions that are not in the rows, in words; "" for none."""
    lost = planned = 0
    for question, rows in answered:
        wanted = set(product(question.methods, parts_of(plan, question), question.seeds))
        done = {trial for method, row in rows.items() for trial in product([method], row.parts, row.seeds)}
        lost += len(wanted - done)
        planned += len(wanted)
    return f"{lost} of {planned} trials are not done or have no full seed" if lost else ""


def made_on(trials: pd.DataFrame) -> str:
    """Device and version of torch by method and seed, in words."""
    made: dict[str, dict[str, list[str]]] = {}
    where = trials["provenance"].map(machine_of)
    for (machine, method), trials_there in trials.assign(machine=where).groupby(["machine", "method"]):
        seeds = ", ".join(str(int(seed)) for seed in sorted(trials_there["seed"].unique()))
        made.setdefault(str(machine), {}).setdefault(seeds, []).append(str(method))
    by_machine = {
        machine: "; ".join(f"seed {seeds}: {', '.join(methods)}" for seeds, methods in sorted(by_seeds.items()))
        for machine, by_seeds in made.items()
    }
    return "; ".join(f"{machine} ({said})" for machine, said in by_machine.items())


def pretraining(trials: pd.DataFrame) -> list[str]:
    """One sentence per pre-training stage of these trials: its accuracy."""
    sentences = set()
    for text in trials["provenance"]:
        start = json.loads(text).get("prerequisites", {}).get(START, {})
        if start.get("dataset") == RENDERS and "learned" in start:
            accuracy = number(start["learned"].get("accuracy"), digits=2)
            sentences.add(f"Pre-training (trial {start['key']}): accuracy {accuracy} on its last batches.")
    return sorted(sentences)
