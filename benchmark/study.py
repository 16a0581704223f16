"""The study: questions to MAL that only data of known truth can answer, their trials, and a page of what was found."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark import stats
from benchmark.data.renders import RENDERS
from benchmark.errors import UserError, did_you_mean
from benchmark.f1 import FloatArray
from benchmark.prepare import start_protocol
from benchmark.profile import load_profile
from benchmark.protocol import get_protocol
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, percent, table, with_interval
from benchmark.report.groups import Group, Row, group_results
from benchmark.report.render import markdown_template
from benchmark.results import Results
from benchmark.stats import Interval
from benchmark.trial import START, AtHand, expand, shared_overrides
from methods import Registry

PLANS = Path(__file__).parent / "studies"
PAGE = "study.md"
NONE_DONE = "no trial is done"
END_SHARE = 0.1
"""The last tenth of a curve is its end."""


class Selection(BaseModel):
    """What the weights of a method's FE images must tell: a clear image from one of a kind, by AUC.

    Attributes:
        method: Whose weights.
        kind: Of the FE images that are not clear.
        least: Of the AUC, in every trial; None for no bound.
        chance: Whether the AUC is to be 0.5 on average, so far as trials tell. Not in each trial: weights that learned
            nothing of a kind that lies apart may still tell it, by the way they drift, and then as often the wrong way
            round.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    kind: str
    least: float | None = None
    chance: bool = False


class Question(BaseModel):
    """Trials that answer one question.

    Attributes:
        name: Short.
        title: The question.
        about: What the setting is, for readers.
        methods: Whose trials.
        seeds: Of each.
        parts: Test parts of each; none for all.
        set: Changes to the profile, as `--set` takes them.
        pairs: Methods whose difference is asked for.
        selects: What weights must tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str = ""
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    parts: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    selects: tuple[Selection, ...] = ()


class Choice(BaseModel):
    """Settings of one method, of which the highest F1 chooses, on people whom no question tests.

    Attributes:
        name: Short.
        title: What is chosen.
        about: How, for readers.
        method: Whose settings.
        seeds: Of each candidate's trials.
        parts: Test parts of each; none for all.
        set: Changes to the profile that all candidates share; a drawing of its own (`standin.seed`) among them.
        candidates: Changes to the profile; none for the profile's own settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str = ""
    method: str
    seeds: tuple[int, ...]
    parts: tuple[str, ...] = ()
    set: tuple[str, ...]
    candidates: tuple[tuple[str, ...], ...] = Field(min_length=2)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The trials of each candidate."""
        return tuple(
            Question(
                name=f"{self.name}-{number}",
                title=f"{self.title}: {_candidate_name(candidate)}",
                methods=(self.method,),
                seeds=self.seeds,
                parts=self.parts,
                set=(*self.set, *candidate),
            )
            for number, candidate in enumerate(self.candidates, 1)
        )


class Plan(BaseModel):
    """One TOML file: a profile, an AU dataset, and what is asked, in the order in which it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    dataset: str
    choices: tuple[Choice, ...] = ()
    questions: tuple[Question, ...]

    @property
    def all_questions(self) -> tuple[Question, ...]:
        """The questions, and those that the candidates of choices make."""
        return (*self.questions, *(each for choice in self.choices for each in choice.questions))

    @property
    def names(self) -> tuple[str, ...]:
        """Of questions and choices."""
        return (*(question.name for question in self.questions), *(choice.name for choice in self.choices))

    def asked(self, name: str) -> tuple[Question, ...]:
        """The question of that name, or those that the candidates of the choice of that name make.

        Raises:
            UserError: There is neither.
        """
        found: dict[str, tuple[Question, ...]] = {question.name: (question,) for question in self.questions}
        found |= {choice.name: choice.questions for choice in self.choices}
        if name not in found:
            raise UserError(f"the study has no question '{name}'", remedy=did_you_mean(name, found))
        return found[name]


def load_plan(name: str) -> Plan:
    """A plan of the suite, or a file.

    Raises:
        UserError: There is no such plan, or something in it is wrong.
    """
    own = PLANS / f"{name}.toml"
    file = own if own.is_file() else Path(name)
    if not file.is_file():
        names = sorted(path.stem for path in PLANS.glob("*.toml"))
        raise UserError(
            f"there is no study '{name}'",
            expected="a file, or one of the suite",
            found=name,
            remedy=did_you_mean(name, names),
        )
    try:
        plan = Plan.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(
            "the plan of a study cannot be read",
            where=file,
            found=str(error).replace("\n", " ")[:200],
            remedy="mend it, or start from a copy of benchmark/studies/small.toml",
        ) from error
    _refuse_choice_on_test_people(plan, file)
    return plan


def _refuse_choice_on_test_people(plan: Plan, file: Path) -> None:
    """People are those of a drawing; a choice has one that no question has."""
    tested = {_drawing(plan, question.set) for question in plan.questions}
    for choice in plan.choices:
        for question in choice.questions:
            if (drawing := _drawing(plan, question.set)) in tested:
                raise UserError(
                    f"the choice '{choice.name}' is made on people whom a question tests",
                    where=file,
                    expected="a drawing of its own, so that no setting is chosen by a test score",
                    found=f"standin.seed={drawing} in both",
                    remedy=f'add "standin.seed={max(tested) + 1}" to its `set`',
                )


def _drawing(plan: Plan, overrides: Sequence[str]) -> int:
    return load_profile(plan.profile, list(overrides))[0].standin.seed


@dataclass(frozen=True)
class Section:
    """What the page says of one question."""

    question: Question
    missing: str
    """What of the plan is not done; "" for nothing."""
    rows: Table | None
    pairs: Table | None
    weights: Table | None
    sentences: tuple[str, ...]
    found: tuple[tuple[str, str, _Difference], ...] = ()
    """The pairs that there are, and how they differ."""
    trials: tuple[str, ...] = ()
    """Keys of those in its rows."""
    made_on: str = ""
    """The devices."""


Digests = tuple[str, str]
"""`Trial.shared_digest` and `Trial.own_digest`: what else than its part, seed and data makes a trial."""


def digests_of(plan: Plan, registry: Registry) -> dict[str, dict[str, Digests]]:
    """Those of the trials that answer each question now, by its name and by method."""
    found = {}
    for question in plan.all_questions:
        profile, changed = load_profile(plan.profile, question.set)
        protocol, unread = get_protocol(plan.dataset), ("", "")
        begun = start_protocol(protocol, profile)
        start = None if begun is None else AtHand(begun, unread)
        trials = expand(protocol, profile, changed, registry, unread, methods=question.methods, start=start)
        found[question.name] = {trial.method: (trial.shared_digest, trial.own_digest) for trial in trials}
    return found


def write_study(
    plan: Plan,
    results: Results,
    out: Path,
    *,
    digests: Mapping[str, Mapping[str, Digests]],
    templates: Path,
    name: str,
) -> Path:
    """Write `study.md` below `out`.

    Args:
        plan: The questions.
        digests: As `digests_of` gives them.
        results: Of the trials that are done.
        out: Folder, made if missing.
        templates: Folder with the page's template.
        name: Of the plan.

    Raises:
        UserError: No trial is done, trials on several versions of the data answer one question, or the template is
            missing.
    """
    if results.trials.empty:
        raise UserError(
            "no trial of the study is done",
            remedy="run `malbench study`, or name results with --with, such as reports/study/results.parquet",
        )
    groups = group_results(results)
    sections = [_section(plan, question, groups, digests[question.name]) for question in plan.questions]
    sections += [_choice_section(plan, choice, groups, digests) for choice in plan.choices]
    trials = results.trials[results.trials["trial"].isin([key for section in sections for key in section.trials])]
    context = {
        "plan": name,
        "profile": plan.profile,
        "sections": sections,
        "trials": len(trials),
        "hours": float(trials["time_train_s"].sum()) / 3600,
        "stale": int(trials["stale"].sum()),
        "summary": _summary(sections),
    }
    out.mkdir(parents=True, exist_ok=True)
    page = out / PAGE
    page.write_text(markdown_template(f"{PAGE}.j2", templates).render(**context), encoding="utf-8", newline="\n")
    return page


def _summary(sections: Sequence[Section]) -> list[str]:
    """Of each pair that several questions ask for: in which of them it is better, worse, or not told apart."""
    by_pair: dict[tuple[str, str], list[tuple[str, _Difference]]] = {}
    for section in sections:
        for a, b, found in section.found:
            by_pair.setdefault((a, b), []).append((section.question.name, found))
    said = []
    for (a, b), asked in by_pair.items():
        if len(asked) < 2:
            continue
        by_verdict: dict[str, list[str]] = {}
        for name, found in asked:
            by_verdict.setdefault(found.verdict, []).append(f"{name} {found.f1:+.1f}")
        said.append(
            f"{a} against {b}: " + "; ".join(f"{v} in {', '.join(each)}" for v, each in by_verdict.items()) + "."
        )
    return said


def _made_on(trials: pd.DataFrame) -> str:
    """Which seeds were trained where."""
    devices = trials["provenance"].map(lambda text: str(json.loads(text).get("device", "unknown")))
    found = []
    for device, own in trials.groupby(devices):
        seeds = ", ".join(str(int(seed)) for seed in sorted(own["seed"].unique()))
        found.append(f"{device} (seed {seeds}; {', '.join(sorted(own['method'].unique()))})")
    return "; ".join(found)


def _pretraining(trials: pd.DataFrame) -> list[str]:
    """What the stages of renders had learned that backbones start from."""
    found = set()
    for text in trials["provenance"]:
        start = json.loads(text).get("prerequisites", {}).get(START, {})
        if start.get("dataset") == RENDERS and "learned" in start:
            accuracy = number(start["learned"].get("accuracy"), digits=2)
            found.add(f"Pre-training (trial {start['key']}): accuracy {accuracy} on its last batches.")
    return sorted(found)


def _section(plan: Plan, question: Question, groups: Sequence[Group], digests: Mapping[str, Digests]) -> Section:
    rows = _rows(plan, question, groups, digests)
    if not rows:
        return Section(question, NONE_DONE, None, None, None, ())
    pairs = [(a, b, _Difference.of(rows[a], rows[b])) for a, b in question.pairs if a in rows and b in rows]
    weighing = {method: row for method, row in rows.items() if _weights(groups, row)}
    there = tuple((a, b, found) for a, b, found in pairs if found is not None)
    trials = pd.concat([row.trials for row in rows.values()])
    sentences = [*_pretraining(trials), *(_sentence(*each) for each in there)]
    sentences += [said for each in question.selects if (said := _selected(each, rows, groups))]
    return Section(
        question,
        _missing(*_lost(plan, question, rows)),
        _row_table(rows),
        _pair_table(pairs) if pairs else None,
        _weight_table(weighing, groups) if weighing else None,
        tuple(sentences),
        there,
        tuple(trials["trial"]),
        _made_on(trials),
    )


def _lost(plan: Plan, question: Question, rows: Mapping[str, Row]) -> tuple[int, int]:
    """How many of its trials are not there, and how many there should be."""
    planned = {
        (method, part, seed)
        for method in question.methods
        for part in question.parts or get_protocol(plan.dataset).parts
        for seed in question.seeds
    }
    done = {(m, p, s) for m, row in rows.items() for p in row.parts for s in row.seeds}
    return len(planned - done), len(planned)


def _missing(lost: int, planned: int) -> str:
    return f"{lost} of {planned} trials are not done or have no full seed" if lost else ""


def _candidate_name(candidate: Sequence[str]) -> str:
    return "; ".join(candidate) or "as the profile has it"


def _choice_section(
    plan: Plan, choice: Choice, groups: Sequence[Group], digests: Mapping[str, Mapping[str, Digests]]
) -> Section:
    """The candidates by their F1, each less the first."""
    asked = Question(**choice.model_dump(exclude={"method", "candidates"}), methods=(choice.method,))
    found = [_rows(plan, question, groups, digests[question.name]) for question in choice.questions]
    lost = [_lost(plan, question, rows) for question, rows in zip(choice.questions, found, strict=True)]
    missing = _missing(sum(each for each, _ in lost), sum(planned for _, planned in lost))
    if not any(found):
        return Section(asked, NONE_DONE, None, None, None, ())
    named = {
        _candidate_name(candidate): rows[choice.method]
        for candidate, rows in zip(choice.candidates, found, strict=True)
        if rows
    }
    first, best = next(iter(named)), max(named, key=lambda name: stats.score(named[name].counts).ave)
    trials = pd.concat([row.trials for row in named.values()])
    return Section(
        asked,
        missing,
        _row_table(named, heading="settings"),
        _pair_table([(name, first, _Difference.of(named[name], named[first])) for name in named if name != first]),
        _weight_table(named, groups, heading="settings"),
        # Of some candidates alone nothing is chosen.
        () if missing else (f"Of the highest F1, and so chosen: {best}.",),
        trials=tuple(trials["trial"]),
        made_on=_made_on(trials),
    )


def _rows(plan: Plan, question: Question, groups: Sequence[Group], digests: Mapping[str, Digests]) -> dict[str, Row]:
    """The question's rows by method: those of its settings.

    Raises:
        UserError: They are of several versions of the data.
    """
    # Dials of the stand-in change the data and no digest, so the overrides must be those of the question, too.
    _, changed = load_profile(plan.profile, question.set)
    there = [g for g in groups if (g.dataset, g.shared_overrides) == (plan.dataset, shared_overrides(changed))]
    found: dict[str, Row] = {}
    versions = set()
    for group in there:
        for row in group.rows:
            made = row.trials.iloc[0]
            if digests.get(row.method) == (made["shared_digest"], made["own_digest"]):
                found[row.method] = row
                versions.add(group.fingerprint)
    if len(versions) > 1:
        raise UserError(
            "trials on several versions of the data answer one question",
            where=question.name,
            expected="one fingerprint of images and labels",
            found=", ".join(sorted(versions)),
            remedy="take the older trials out of the store (the stand-in is drawn anew when its code changes)",
        )
    return {method: found[method] for method in question.methods if method in found}


def _row_table(rows: Mapping[str, Row], heading: str = "method") -> Table:
    header = [heading, "parts", "seeds", "F1 ave [95 % over subjects]", "SD over seeds", "AUC", "SD over seeds"]
    made = []
    for method, row in rows.items():
        scored, by_seed = stats.score(row.counts), stats.average(row.auc)
        spread = stats.seed_spread(stats.mean_over_parts(row.counts).ave_by_seed)
        made.append(
            cells(
                method,
                str(len(row.parts)),
                ", ".join(map(str, row.seeds)),
                with_interval(100 * scored.ave, percent(scored.ave_interval)),
                number(None if spread is None else 100 * spread),
                number(by_seed.ave, digits=3),
                number(stats.seed_spread(by_seed.ave_by_seed), digits=3),
            )
        )
    return table(header, made)


@dataclass(frozen=True)
class _Difference:
    """One row less another, F1 × 100 and AUC × 100: over subjects, and over seeds."""

    f1: float
    subjects: Interval
    seeds: Interval | None
    auc: float
    auc_seeds: Interval | None
    count: int

    @classmethod
    def of(cls, a: Row, b: Row) -> _Difference | None:
        parts = tuple(part for part in a.parts if part in b.parts)
        seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
        if not parts or not seeds:
            return None
        scored = stats.difference(a.counts.select(parts, seeds), b.counts.select(parts, seeds))
        f1 = 100 * np.subtract(*(stats.mean_over_parts(row.counts.select(parts, seeds)).ave_by_seed for row in (a, b)))
        auc = 100 * np.subtract(*(_auc_by_seed(row, parts, seeds) for row in (a, b)))
        return cls(
            100 * scored.ave,
            percent(scored.ave_interval),
            over_seeds(f1),
            float(np.mean(auc)),
            over_seeds(auc),
            len(seeds),
        )

    @property
    def verdict(self) -> str:
        """In words; only what both intervals say counts."""
        intervals = [self.subjects, *([self.seeds] if self.seeds is not None else [])]
        if all(each.low > 0 for each in intervals):
            return "better" if self.seeds is not None else "better over subjects, of one seed"
        if all(each.high < 0 for each in intervals):
            return "worse" if self.seeds is not None else "worse over subjects, of one seed"
        return "not told apart"


def _auc_by_seed(row: Row, parts: Sequence[str], seeds: Sequence[int]) -> FloatArray:
    chosen = row.auc[np.ix_([row.seeds.index(s) for s in seeds], [row.parts.index(p) for p in parts])]
    return stats.average(chosen).ave_by_seed


def over_seeds(values: FloatArray) -> Interval | None:
    """Student's 95 % interval of the mean over seeds; None of fewer than two."""
    if len(values) < 2:
        return None
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def _pair_table(pairs: Sequence[tuple[str, str, _Difference | None]]) -> Table:
    header = [
        "pair",
        "F1 [95 % over subjects]",
        "F1 [95 % over seeds]",
        "AUC × 100 [95 % over seeds]",
        "seeds",
        "so the first is",
    ]
    rows = []
    for a, b, found in pairs:
        if found is None:
            rows.append(cells(f"{a} − {b}", *[UNRUN] * 5))
            continue
        by_seed, auc = (
            UNRUN if interval is None else with_interval(value, interval, sign=True)
            for value, interval in ((found.f1, found.seeds), (found.auc, found.auc_seeds))
        )
        subjects = with_interval(found.f1, found.subjects, sign=True)
        rows.append(cells(f"{a} − {b}", subjects, by_seed, auc, str(found.count), found.verdict))
    return table(header, rows)


def _sentence(a: str, b: str, found: _Difference) -> str:
    over = (
        f"; over {found.count} seeds [{found.seeds.low:+.1f}, {found.seeds.high:+.1f}]"
        if found.seeds is not None
        else ""
    )
    ends = f"[{found.subjects.low:+.1f}, {found.subjects.high:+.1f}] over subjects{over}"
    words = f"is {found.verdict} than" if found.verdict.startswith(("better", "worse")) else "is not told apart from"
    return f"{a} {words} {b}: {found.f1:+.1f} F1 points {ends}."


def _weights(groups: Sequence[Group], row: Row) -> dict[str, list[float]]:
    """Statistics of the final weights of a row's FE images, by name: one value a trial."""
    found: dict[str, list[float]] = {}
    for group in groups:
        own = group.results.weights[group.results.weights["trial"].isin(row.trials["trial"])]
        for name, values in own.groupby("name")["value"]:
            found.setdefault(str(name), []).extend(values.astype(float).tolist())
    return found


def _weight_table(rows: Mapping[str, Row], groups: Sequence[Group], heading: str = "method") -> Table:
    """What the weights of the FE images tell after training, as mean [least, most] over trials."""
    known = {method: _weights(groups, row) for method, row in rows.items()}
    aucs = sorted({n for each in known.values() for n in each if n.startswith("auc_")}, key=_auc_title)
    names = ["mean", *aucs, "spearman_consistency_within", "spearman_clear_within"]
    header = [
        heading,
        "mean weight",
        *(_auc_title(name) for name in aucs),
        "Spearman with consistency, within class",
        "the same of clear or not",
        "FE share of all weight, start to end",
    ]
    made = []
    for method, row in rows.items():
        spans = [_span(known[method].get(name, [])) for name in names]
        made.append([Cell(method), *map(Cell, spans), Cell(_share(row, groups))])
    return table(header, made)


def _auc_title(name: str) -> str:
    kind = name.removeprefix("auc_").removeprefix("within_").replace("_", " ")
    return f"AUC, clear against {kind}" + (", same emotion depicted" if name.startswith("auc_within_") else "")


def _span(values: Sequence[float]) -> str:
    if not values:
        return UNRUN
    middle = number(float(np.mean(values)), digits=2)
    return (
        middle if len(values) == 1 else f"{middle} [{number(min(values), digits=2)}, {number(max(values), digits=2)}]"
    )


def _share(row: Row, groups: Sequence[Group]) -> str:
    """The FE samples' share of all weight in the first and the last tenth of training, over trials."""
    ends: list[tuple[float, float]] = []
    for group in groups:
        curves = group.results.curves
        own = curves[curves["trial"].isin(row.trials["trial"]) & (curves["series"] == "fe_share")]
        for _, curve in own.groupby("trial"):
            values = curve.sort_values("step")["value"].to_numpy(float)
            width = max(1, round(END_SHARE * len(values)))
            ends.append((float(values[:width].mean()), float(values[-width:].mean())))
    if not ends:
        return UNRUN
    return " to ".join(number(float(np.mean(side)), digits=2) for side in zip(*ends, strict=True))


def _selected(asked: Selection, rows: dict[str, Row], groups: Sequence[Group]) -> str:
    """Whether the weights tell clear FE images from those of a kind, as asked; "" if no trial is done."""
    row = rows.get(asked.method)
    values = [] if row is None else _weights(groups, row).get(f"auc_{asked.kind}", [])
    if not values:
        return ""
    mean = over_seeds(np.array(values))
    bounds = []
    if asked.least is not None:
        bounds.append((f"at least {asked.least:g} in every trial", min(values) >= asked.least))
    if asked.chance and mean is not None:
        bounds.append(("0.5 on average, so far as trials tell", mean.low <= 0.5 <= mean.high))
    if not bounds:
        return ""
    said = " and ".join(words for words, _ in bounds)
    holds = all(held for _, held in bounds)
    found = ", ".join(f"{value:.3f}" for value in values)
    interval = "" if mean is None else f"; interval of their mean [{mean.low:.2f}, {mean.high:.2f}]"
    return (
        f"{asked.method}: AUC of the weight, clear against {asked.kind.replace('_', ' ')}, asked {said}:"
        f" {'holds' if holds else 'does not hold'} ({found}; one number a trial{interval})."
    )
