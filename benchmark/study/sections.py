"""Sections of the page of a study: questions, choices, maps and agreements with their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.cells import UNRUN, Table, cells, number, table, with_interval
from benchmark.report.groups import Row
from benchmark.report.provenance import reserve_of
from benchmark.stats.compare import f1_with_intervals
from benchmark.store.results import Results
from benchmark.study.answers import Comparison, agreement, answer, overall
from benchmark.study.figures import map_figure, question_figure
from benchmark.study.plan import Agreement, Choice, Map, Plan, Question, candidate_name
from benchmark.study.rows import Digests, made_on, missing, pretraining, question_rows
from benchmark.study.statistics import RowDifference
from benchmark.study.tables import Pair, pair_table, row_table, selected, sentence, weight_table

NONE_DONE = "no trial is done"


@dataclass(frozen=True)
class Section:
    """Content of the page on one question, choice, map or agreement."""

    word: str
    """Kind of the section."""
    name: str
    """Name in the plan; "" for an agreement."""
    title: str
    about: str = ""
    settings: tuple[str, ...] = ()
    """Changes to the profile."""
    missing: str = ""
    """Sentence on the trials of the plan that are not done; "" if all are."""
    answers: tuple[str, ...] = ()
    """Answers on what the plan asks first."""
    sentences: tuple[str, ...] = ()
    """Further sentences."""
    tables: tuple[Table, ...] = ()
    figure: Figure | None = None
    differences: tuple[tuple[str, str, RowDifference], ...] = ()
    """Pairs of rows that were run, with their difference."""
    trials: tuple[str, ...] = ()
    """Keys of the trials in the rows."""
    made_on: str = ""
    """Devices of the trials, in words."""
    reserve: str = ""
    """Number of AU validation frames of the trials, in words."""
    comparisons: tuple[Comparison, ...] = ()
    """Primary pairs with their answers."""


@dataclass(frozen=True)
class Answered:
    """A plan, the results, and the digests of its trials: what sections are made of.

    Attributes:
        plan: The plan.
        results: Results of the finished trials.
        digests: Result of `digests_of`.
    """

    plan: Plan
    results: Results
    digests: Mapping[str, Mapping[str, Digests]]

    def rows(self, question: Question) -> dict[str, Row]:
        """Rows of a question by method."""
        return question_rows(self.plan, question, self.results, self.digests[question.name])

    def sections(self) -> list[Section]:
        """All sections in the order of the page."""
        plan = self.plan
        return [
            *map(self._question, plan.questions),
            *map(self._map, plan.maps),
            *map(self._agreement, plan.agreements),
            *map(self._choice, plan.choices),
        ]

    def overall(self, sections: Sequence[Section]) -> str:
        """The answer of the primary questions together; "" if the plan has none."""
        by_name = {section.name: section for section in sections if section.word == "Question"}
        primary = [question.name for question in self.plan.questions if question.primary]
        return overall({name: by_name[name].comparisons for name in primary if not by_name[name].missing}, primary)

    def _question(self, question: Question) -> Section:
        rows = self.rows(question)
        if not rows:
            return _empty("Question", question)
        pairs = _paired(question.all_pairs, rows)
        by_pair = {(a, b): difference for a, b, difference in pairs}
        comparisons = answer(question, by_pair, margin=self.plan.margin, alpha=self.plan.alpha)
        told = {(comparison.first, comparison.second) for comparison in comparisons}
        sentences = [sentence(a, b, d) for a, b, d in pairs if d is not None and (a, b) not in told]
        sentences += [said for wanted in question.selects if (said := selected(wanted, rows, self.results))]
        weights = weight_table(rows, self.results, "method")
        tables = [row_table(rows, "method"), pair_table(pairs) if pairs else None, weights]
        differences = tuple((a, b, difference) for a, b, difference in pairs if difference is not None)
        trials = pd.concat([row.trials for row in rows.values()])
        return Section(
            "Question",
            question.name,
            question.title,
            question.about,
            question.set,
            missing(self.plan, [(question, rows)]),
            tuple(comparison.sentence for comparison in comparisons),
            (*pretraining(trials), *sentences),
            tuple(made for made in tables if made is not None),
            question_figure(rows, differences, self.plan.margin),
            differences,
            tuple(trials["trial"]),
            made_on(trials),
            reserve_of(trials),
            comparisons,
        )

    def _choice(self, choice: Choice) -> Section:
        """Section of a choice: F1 of the candidates, and their differences from the first."""
        answered = [(question, self.rows(question)) for question in choice.questions]
        named = {
            candidate_name(candidate): rows[choice.method]
            for candidate, (_, rows) in zip(choice.candidates, answered, strict=True)
            if rows
        }
        if not named:
            return _empty("Choice", choice)
        first = next(iter(named))
        pairs = _paired([(name, first) for name in named if name != first], named)
        lost = missing(self.plan, answered)
        trials = pd.concat([row.trials for row in named.values()])
        weights = weight_table(named, self.results, "settings")
        tables = [row_table(named, "settings"), pair_table(pairs) if pairs else None, weights]
        return Section(
            "Choice",
            choice.name,
            choice.title,
            choice.about,
            choice.set,
            lost,
            () if lost else _chosen(named, pairs),  # the choice waits until all candidates are done
            tuple(pretraining(trials)),
            tuple(made for made in tables if made is not None),
            trials=tuple(trials["trial"]),
            made_on=made_on(trials),
            reserve=reserve_of(trials),
        )

    def _map(self, asked: Map) -> Section:
        answered = [(question, self.rows(question)) for question in asked.questions]
        done = [rows for _, rows in answered if rows]
        if not done:
            return _empty("Map", asked)
        a, b = asked.pair
        differences = {
            place: RowDifference.between(rows[a], rows[b], rows.values()) if a in rows and b in rows else None
            for place, (_, rows) in zip(asked.cells, answered, strict=True)
        }
        trials = pd.concat([row.trials for rows in done for row in rows.values()])
        lacks = missing(self.plan, answered)  # half a map says nothing of where: it has a table alone
        return Section(
            "Map",
            asked.name,
            asked.title,
            asked.about,
            asked.set,
            lacks,
            () if lacks else (_map_sentence(asked, differences),),
            tables=(_map_table(asked, differences),),
            figure=None if lacks else map_figure(asked, differences),
            trials=tuple(trials["trial"]),
            made_on=made_on(trials),
            reserve=reserve_of(trials),
        )

    def _agreement(self, asked: Agreement) -> Section:
        questions = {question.name: question for question in self.plan.questions}
        one, other = (self.rows(questions[name]) for name in asked.questions)
        pairs, said = agreement(one, other)
        if not pairs:
            return Section("Agreement", "", asked.title, missing=NONE_DONE)
        header = ["pair", *(f"F1 [95 %]: {questions[name].title}" for name in asked.questions)]
        made = table(header, [cells(f"{a} − {b}", *map(difference_text, both)) for a, b, *both in pairs])
        return Section("Agreement", "", asked.title, answers=(said,), tables=(made,))


def difference_text(difference: RowDifference | None) -> str:
    """A difference with its interval, as in a cell of a table; "-" for none."""
    if difference is None:
        return UNRUN
    if difference.trainings == 1:
        return number(difference.f1, sign=True)
    return with_interval(difference.f1, difference.interval, sign=True)


def _empty(word: str, asked: Question | Choice | Map) -> Section:
    return Section(word, asked.name, asked.title, asked.about, asked.set, NONE_DONE)


def _paired(pairs: Sequence[tuple[str, str]], rows: Mapping[str, Row]) -> list[Pair]:
    return [(a, b, RowDifference.between(rows[a], rows[b], rows.values())) for a, b in pairs if a in rows and b in rows]


def _chosen(named: Mapping[str, Row], pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Sentences on the candidate with the highest F1, and its difference from the first candidate."""
    best = max(named, key=lambda name: f1_with_intervals(named[name].counts).ave)
    said = [f"Of the highest F1, and so chosen: {best}."]
    return (*said, *(sentence(a, b, difference) for a, b, difference in pairs if difference is not None and a == best))


Cells = Mapping[tuple[int, int, int], RowDifference | None]
"""Differences by the positions of panel, row and column."""


def _map_table(asked: Map, differences: Cells) -> Table:
    header = [*(["data"] if len(asked.panels) > 1 else []), asked.row_title, *(c.title for c in asked.columns)]
    rows = []
    for p, panel in enumerate(asked.panels):
        for r, row in enumerate(asked.rows):
            values = [difference_text(differences[p, r, c]) for c in range(len(asked.columns))]
            rows.append(cells(*([panel.title] if len(asked.panels) > 1 else []), row.title, *values))
    return table(header, rows)


def _map_sentence(asked: Map, differences: Cells) -> str:
    """Sentence on the cells in which the first method is better or worse."""
    a, b = asked.pair
    run = {place: difference for place, difference in differences.items() if difference is not None}
    better = [place for place, difference in run.items() if difference.interval.low > 0]
    worse = [place for place, difference in run.items() if difference.interval.high < 0]
    chance = number(0.05 * len(run))
    where = "" if not better else ": " + "; ".join(_place(asked, place) for place in better)
    return (
        f"{a} is better than {b} in {len(better)} of {len(run)} cells and worse in {len(worse)}; {chance} would"
        f" differ by chance alone. Better{where or ': nowhere'}."
    )


def _place(asked: Map, place: tuple[int, int, int]) -> str:
    p, r, c = place
    words = (asked.panels[p].title, asked.rows[r].title, asked.columns[c].title)
    return ", ".join(filter(None, words))
