"""The page of a study: the trials of its questions, and their results."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.trial import RENDERS, START
from benchmark.core.errors import UserError
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Row, group_results, machine_of, reserve_of
from benchmark.report.render import markdown_template
from benchmark.stats.compare import f1_with_intervals
from benchmark.stats.counts import average, mean_over_parts, seed_spread
from benchmark.store.atomic import write_atomically
from benchmark.store.results import Results
from benchmark.study.plan import Choice, Plan, Question, WeightSelection, candidate_name
from benchmark.study.statistics import BETTER, WORSE, RowDifference, fe_share_ends, trial_weights
from benchmark.trials.expand import Selection, expand, shared_overrides
from benchmark.trials.prepare import Chosen
from methods import Registry

TEMPLATE = "study.md.j2"
NONE_DONE = "no trial is done"
HEADINGS = {"Question": "method", "Choice": "settings"}
"""Heading of the first column, by kind of section."""


@dataclass(frozen=True)
class Section:
    """Content of the page on one question or choice."""

    word: str
    """Kind of the section: `Question` or `Choice`."""
    question: Question
    missing: str
    """Sentence on the trials of the plan that are not done; "" if all are."""
    rows: Table | None
    pairs: Table | None
    weights: Table | None
    sentences: tuple[str, ...]
    differences: tuple[tuple[str, str, RowDifference], ...] = ()
    """Pairs of rows that were run, with their difference."""
    trials: tuple[str, ...] = ()
    """Keys of the trials in the rows."""
    made_on: str = ""
    """Devices of the trials, in words."""
    reserve: str = ""
    """Number of AU validation frames of the trials, in words."""


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


def write_study(
    plan: Plan,
    results: Results,
    out: Path,
    *,
    digests: Mapping[str, Mapping[str, Digests]],
    templates: Path | None = None,
    name: str,
) -> list[Path]:
    """Write the page `STEM.md` and its trials `STEM.parquet` below `out`, where STEM is the stem of the plan's name.

    Args:
        plan: The plan.
        digests: Result of `digests_of`.
        results: Results of the finished trials.
        out: Folder, made if missing.
        templates: Folder with the page's template.
        name: Name or file of the plan, as for `load_plan`.

    Returns:
        The files written.

    Raises:
        UserError: No trial is done, trials on several versions of the data answer one question, or the template is
            missing.
    """
    sections = [_section(plan, question, results, digests[question.name]) for question in plan.questions]
    sections += [_choice_section(plan, choice, results, digests) for choice in plan.choices]
    selected = results.select(dict.fromkeys(key for section in sections for key in section.trials))
    if selected.trials.empty:
        raise UserError(
            "no trial of the study is done",
            where=name,
            remedy="run `malbench study`, or name results with --with, such as reports/study/small.parquet",
        )
    context = {
        "plan": name,
        "profile": plan.profile,
        "sections": sections,
        "trials": len(selected.trials),
        "hours": float(selected.trials["time_train_s"].sum()) / 3600,
        "stale": int(selected.trials["stale"].sum()),
        "summary": _summary(sections),
    }
    out.mkdir(parents=True, exist_ok=True)
    page, kept = (out / f"{Path(name).stem}{suffix}" for suffix in (".md", ".parquet"))
    write_atomically(page, markdown_template(TEMPLATE, templates).render(**context).encode())
    selected.write(kept)
    return [page, kept]


def _summary(sections: Sequence[Section]) -> list[str]:
    """One sentence per pair that is in several questions: where it is better, worse, or not distinguishable."""
    by_pair: dict[tuple[str, str], list[tuple[str, RowDifference]]] = {}
    for section in sections:
        for a, b, difference in section.differences:
            by_pair.setdefault((a, b), []).append((section.question.name, difference))
    said = []
    for (a, b), asked in by_pair.items():
        if len(asked) < 2:
            continue
        by_verdict: dict[str, list[str]] = {}
        for name, difference in asked:
            by_verdict.setdefault(difference.verdict, []).append(f"{name} {number(difference.f1, sign=True)}")
        said.append(
            f"{a} against {b}: "
            + "; ".join(f"{v} in {', '.join(questions)}" for v, questions in by_verdict.items())
            + "."
        )
    return said


def _made_on(trials: pd.DataFrame) -> str:
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


def _pretraining(trials: pd.DataFrame) -> list[str]:
    """One sentence per pre-training stage of these trials: its accuracy."""
    sentences = set()
    for text in trials["provenance"]:
        start = json.loads(text).get("prerequisites", {}).get(START, {})
        if start.get("dataset") == RENDERS and "learned" in start:
            accuracy = number(start["learned"].get("accuracy"), digits=2)
            sentences.add(f"Pre-training (trial {start['key']}): accuracy {accuracy} on its last batches.")
    return sorted(sentences)


def _section(plan: Plan, question: Question, results: Results, digests: Mapping[str, Digests]) -> Section:
    rows = _rows(plan, question, results, digests)
    pairs = [
        (a, b, RowDifference.between(rows[a], rows[b], rows.values()))
        for a, b in question.pairs
        if a in rows and b in rows
    ]
    sentences = [_sentence(a, b, difference) for a, b, difference in pairs if difference is not None]
    sentences += [said for selection in question.selects if (said := _selected(selection, rows, results))]
    missing = _missing(plan, [(question, rows)])
    section = _filled("Question", question, missing, rows, pairs, sentences, results)
    return replace(
        section, differences=tuple((a, b, difference) for a, b, difference in pairs if difference is not None)
    )


def _choice_section(
    plan: Plan, choice: Choice, results: Results, digests: Mapping[str, Mapping[str, Digests]]
) -> Section:
    """Section of a choice: F1 of the candidates, and their differences from the first."""
    asked = Question(**choice.model_dump(exclude={"method", "candidates"}), methods=(choice.method,))
    candidates = [(question, _rows(plan, question, results, digests[question.name])) for question in choice.questions]
    named = {
        candidate_name(candidate): rows[choice.method]
        for candidate, (_, rows) in zip(choice.candidates, candidates, strict=True)
        if rows
    }
    first = next(iter(named), "")
    pairs = [
        (name, first, RowDifference.between(row, named[first], named.values()))
        for name, row in named.items()
        if name != first
    ]
    missing = _missing(plan, candidates)
    # The choice waits until all candidates are done.
    return _filled("Choice", asked, missing, named, pairs, [] if missing else _chosen(named, pairs), results)


def _filled(
    word: str,
    question: Question,
    missing: str,
    rows: Mapping[str, Row],
    pairs: Sequence[_Pair],
    sentences: Sequence[str],
    results: Results,
) -> Section:
    """Section with the tables of these rows; without tables if there are no rows."""
    if not rows:
        return Section(word, question, NONE_DONE, None, None, None, ())
    trials = pd.concat([row.trials for row in rows.values()])
    heading = HEADINGS[word]
    return Section(
        word,
        question,
        missing,
        _row_table(rows, heading),
        _pair_table(pairs) if pairs else None,
        _weight_table(rows, results, heading),
        (*_pretraining(trials), *sentences),
        trials=tuple(trials["trial"]),
        made_on=_made_on(trials),
        reserve=reserve_of(trials),
    )


def _parts(plan: Plan, question: Question) -> tuple[str, ...]:
    profile, _ = load_profile(plan.profile, question.set)
    return question.parts or tuple(datasets.open_au(plan.dataset, profile).protocol.parts)


def _missing(plan: Plan, answered: Sequence[tuple[Question, Mapping[str, Row]]]) -> str:
    """Number of trials of the questions that are not in the rows, in words; "" for none."""
    lost = planned = 0
    for question, rows in answered:
        wanted = set(product(question.methods, _parts(plan, question), question.seeds))
        done = {trial for method, row in rows.items() for trial in product([method], row.parts, row.seeds)}
        lost += len(wanted - done)
        planned += len(wanted)
    return f"{lost} of {planned} trials are not done or have no full seed" if lost else ""


def _chosen(named: Mapping[str, Row], pairs: Sequence[_Pair]) -> list[str]:
    """Sentences on the candidate with the highest F1, and its difference from the first candidate."""
    best = max(named, key=lambda name: f1_with_intervals(named[name].counts).ave)
    said = [f"Of the highest F1, and so chosen: {best}."]
    return said + [_sentence(a, b, difference) for a, b, difference in pairs if difference is not None and a == best]


def _rows(plan: Plan, question: Question, results: Results, digests: Mapping[str, Digests]) -> dict[str, Row]:
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
        & trials["part"].isin(_parts(plan, question))
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


def _row_table(rows: Mapping[str, Row], heading: str) -> Table:
    header = [heading, "parts", "seeds", "F1 ave [95 % over subjects]", "SD over seeds", "AUC", "SD over seeds"]
    made = []
    for method, row in rows.items():
        scored, by_seed = f1_with_intervals(row.counts), average(row.auc)
        spread = seed_spread(mean_over_parts(row.counts).ave_by_seed)
        made.append(
            cells(
                method,
                str(len(row.parts)),
                ", ".join(map(str, row.seeds)),
                with_interval(100 * scored.ave, percent(scored.ave_interval)),
                number(None if spread is None else 100 * spread),
                number(by_seed.ave, digits=3),
                number(seed_spread(by_seed.ave_by_seed), digits=3),
            )
        )
    return table(header, made)


_Pair = tuple[str, str, RowDifference | None]
"""Names of two rows, and the first minus the second; None if they share no part."""


def _pair_table(pairs: Sequence[_Pair]) -> Table:
    header = ["pair", "F1 [95 %]", "AUC × 100 [95 % over trainings]", "seeds", "so the first is"]
    rows = []
    for a, b, difference in pairs:
        if difference is None:
            rows.append(cells(f"{a} − {b}", *[UNRUN] * 4))
            continue
        f1, auc = (
            number(value, sign=True) if math.isnan(interval.low) else with_interval(value, interval, sign=True)
            for value, interval in ((difference.f1, difference.interval), (difference.auc, difference.auc_interval))
        )
        rows.append(cells(f"{a} − {b}", f1, auc, difference.seeds, difference.verdict))
    return table(header, rows)


def _sentence(a: str, b: str, difference: RowDifference) -> str:
    f1 = number(difference.f1, sign=True)
    if math.isnan(difference.interval.low):
        return f"{a} against {b}: {f1} F1 points of {difference.verdict}, so nothing can be said of the methods."
    low, high = (number(end, sign=True) for end in (difference.interval.low, difference.interval.high))
    is_clear = difference.verdict in (BETTER, WORSE)
    words = f"is {difference.verdict} than" if is_clear else "is not told apart from"
    return f"{a} {words} {b}: {f1} F1 points [{low}, {high}], {difference.trainings} trainings each."


def _weight_table(rows: Mapping[str, Row], results: Results, heading: str) -> Table | None:
    """Statistics of the final weights of FE images, as mean [least, most] over trials; None if no method weighs."""
    by_method = {method: weights for method, row in rows.items() if (weights := trial_weights(results, row))}
    if not by_method:
        return None
    aucs = sorted({n for statistics in by_method.values() for n in statistics if n.startswith("auc_")}, key=_auc_title)
    means = ["mean_clear", *sorted({f"mean_{_kind(name)}" for name in aucs})]
    names = [*means, *aucs, "spearman_consistency_within", "spearman_clear_within"]
    header = [
        heading,
        *(f"mean weight, {name.removeprefix('mean_').replace('_', ' ')}" for name in means),
        *(_auc_title(name) for name in aucs),
        "Spearman with consistency, within class",
        "the same of clear or not",
        "FE share of all weight, start to end",
    ]
    made = []
    for method, values in by_method.items():
        spans = [_span(values.get(name, [])) for name in names]
        made.append([Cell(method), *map(Cell, spans), Cell(_share(rows[method], results))])
    return table(header, made)


def _kind(auc: str) -> str:
    """Kind of images that an AUC compares with clear ones."""
    return auc.removeprefix("auc_").removeprefix("within_")


def _auc_title(name: str) -> str:
    return f"AUC, clear against {_kind(name).replace('_', ' ')}" + (
        ", same emotion depicted" if name.startswith("auc_within_") else ""
    )


def _span(values: Sequence[float]) -> str:
    if not values:
        return UNRUN
    middle = number(float(np.mean(values)), digits=2)
    return (
        middle if len(values) == 1 else f"{middle} [{number(min(values), digits=2)}, {number(max(values), digits=2)}]"
    )


def _share(row: Row, results: Results) -> str:
    """FE samples' share of all weight in the first and the last tenth of training, averaged over trials."""
    ends = fe_share_ends(row, results)
    return UNRUN if ends is None else " to ".join(number(end, digits=2) for end in ends)


def _selected(asked: WeightSelection, rows: Mapping[str, Row], results: Results) -> str:
    """Sentence on the trials whose weights find FE images of a kind, against the plan; "" if no trial is done."""
    row = rows.get(asked.method)
    weights = {} if row is None else trial_weights(results, row)
    names = (f"auc_{asked.kind}", f"mean_{asked.kind}", "mean_clear")
    trials = list(zip(*(weights.get(name, []) for name in names), strict=True))
    if not trials:
        return ""
    meets = [auc >= asked.auc and weight <= asked.share * clear for auc, weight, clear in trials]
    kind, wanted = asked.kind.replace("_", " "), "every one" if asked.found else "none"
    verdict = "holds" if all(met == asked.found for met in meets) else "does not hold"
    aucs = ", ".join(number(auc, digits=3) for auc, _, _ in trials)
    shares = ", ".join(number(weight / clear if clear else None, digits=2) for _, weight, clear in trials)
    return (
        f"{asked.method} finds {kind} images in {sum(meets)} of {len(meets)} trials, asked was {wanted}: {verdict}."
        f" AUC of the weight, clear against {kind}, at least {asked.auc:g}: {aucs}."
        f" Mean weight of {kind} images over that of clear ones, at most {asked.share:g}: {shares}."
    )
