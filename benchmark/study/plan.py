"""The plan of a study: a TOML file of questions on MAL that only data with ground truth can answer."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError, did_you_mean
from benchmark.core.files import parse_toml, regular
from benchmark.study.names import PLANS, plan_names

GRADIENT_PROBE_PAGE = "gradient_probe.md"
"""File name of the page of the gradient probe, beside the pages of plans."""


def candidate_name(candidate: Sequence[str]) -> str:
    """Readable name of a candidate: its changes to the profile."""
    return "; ".join(candidate) or "unchanged"


class WeightSelection(BaseModel):
    """Expectation that a method's weights separate a kind of FE images from clear ones, or do not.

    A trial finds the kind if clear images have a higher weight (AUC) and the kind has a low mean weight in comparison.
    The AUC alone is not enough for a kind that differs as a whole: if all weights drift up or down together, the AUC
    comes near 1 or 0 although the method learned nothing about single samples.

    Attributes:
        method: Name of the method.
        kind: Kind of FE images that are not clear.
        auc: Smallest AUC, of clear images against the kind.
        share: Largest ratio of the mean weight of the kind to that of clear images.
        found: True: every trial must find the kind; False: no trial may find it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    kind: str
    auc: float = 0.9
    share: float = 0.25
    found: bool = True


class Question(BaseModel):
    """Trials that answer one question.

    Attributes:
        name: Short name.
        title: The question.
        about: Description of the setting.
        methods: Methods of the trials.
        seeds: Seeds of each method.
        parts: Test parts of each method; none for all.
        set: Changes to the profile, as for `--set`.
        primary: Pairs of methods that the question is asked for; their p-values are adjusted for their number.
        pairs: Further pairs of methods to compare; nothing is decided by them.
        selects: Expectations on the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str = ""
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    parts: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    primary: tuple[tuple[str, str], ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    selects: tuple[WeightSelection, ...] = ()

    @model_validator(mode="after")
    def _pairs_are_of_its_methods(self) -> Question:
        named = {name for pair in (*self.primary, *self.pairs) for name in pair}
        named |= {selection.method for selection in self.selects}
        unknown = sorted(named - set(self.methods))
        if unknown:
            raise ValueError(f"question '{self.name}' compares {unknown[0]}, which is not among its methods")
        return self

    @property
    def all_pairs(self) -> tuple[tuple[str, str], ...]:
        """Primary pairs, then the others."""
        return (*self.primary, *self.pairs)


class Choice(BaseModel):
    """Choice between settings of one method by the highest F1, on people that no question tests.

    Attributes:
        name: Short name.
        title: The choice.
        about: Description of the procedure.
        method: Name of the method.
        seeds: Seeds of each candidate.
        parts: Test parts of each candidate; none for all.
        set: Changes to the profile that all candidates share; they include a separate drawing (`standin.seed`).
        candidates: Changes to the profile by each candidate; none for the unchanged profile.
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
        """One question per candidate."""
        return tuple(
            Question(
                name=f"{self.name}-{number}",
                title=f"{self.title}: {candidate_name(candidate)}",
                methods=(self.method,),
                seeds=self.seeds,
                parts=self.parts,
                set=(*self.set, *candidate),
            )
            for number, candidate in enumerate(self.candidates, 1)
        )


class Level(BaseModel):
    """One value of an axis of a map.

    Attributes:
        title: The value, as in a label of the figure.
        set: Changes to the profile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    set: tuple[str, ...] = ()


class Map(BaseModel):
    """One difference of two methods over two settings, a panel per kind of data.

    Attributes:
        name: Short name.
        title: The question.
        about: Description of the setting.
        pair: The two methods; a cell shows the first minus the second.
        seeds: Seeds of each method and cell.
        parts: Test parts; none for all.
        set: Changes to the profile that all cells share.
        column_title: Meaning of the columns.
        columns: Values from left to right.
        row_title: Meaning of the rows.
        rows: Values from top to bottom.
        panels: Kinds of data; one grid of cells each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str = ""
    pair: tuple[str, str]
    seeds: tuple[int, ...]
    parts: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    column_title: str
    columns: tuple[Level, ...] = Field(min_length=1)
    row_title: str
    rows: tuple[Level, ...] = Field(min_length=1)
    panels: tuple[Level, ...] = (Level(title=""),)

    @property
    def cells(self) -> dict[tuple[int, int, int], Question]:
        """One question per cell, by the positions of its panel, row and column."""
        return {
            (p, r, c): Question(
                name=f"{self.name}-{p + 1}-{r + 1}-{c + 1}",
                title=", ".join(filter(None, (self.title, panel.title, row.title, column.title))),
                methods=self.pair,
                seeds=self.seeds,
                parts=self.parts,
                set=(*self.set, *panel.set, *row.set, *column.set),
                pairs=(self.pair,),
            )
            for p, panel in enumerate(self.panels)
            for r, row in enumerate(self.rows)
            for c, column in enumerate(self.columns)
        }

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions of the cells."""
        return tuple(self.cells.values())


class Agreement(BaseModel):
    """Whether the order of methods is the same in two questions.

    Attributes:
        title: The question.
        questions: Names of two questions of the plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    questions: tuple[str, str]


class Plan(BaseModel):
    """A profile, an AU dataset, and the questions, choices and maps in the order of the runs, from one TOML file.

    Attributes:
        title: Title of the page.
        about: Paragraph below the title.
        profile: Profile of all trials.
        dataset: AU dataset of all trials.
        alpha: Level of the tests of primary pairs.
        margin: Largest difference of F1 that counts as practically none, points.
        equal_effort: Whether every choice must have as many candidates as the others, and the same seeds, parts and
            data.
        questions: The questions.
        choices: Choices of settings.
        maps: Maps of one difference.
        agreements: Comparisons of the order of methods in two questions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = "What selection can be seen to do"
    about: str = ""
    profile: str
    dataset: str
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    margin: float = Field(default=1.5, gt=0)
    equal_effort: bool = False
    choices: tuple[Choice, ...] = ()
    questions: tuple[Question, ...] = ()
    maps: tuple[Map, ...] = ()
    agreements: tuple[Agreement, ...] = ()

    @model_validator(mode="after")
    def _asks_something(self) -> Plan:
        if not (self.questions or self.choices or self.maps):
            raise ValueError("a plan needs a question, a choice or a map")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Plan:
        counts = Counter([*self.names, *(question.name for question in self._derived)])
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(
                f"'{twice[0]}' is the name of two questions, choices or maps (candidates count: beta-1, ...)"
            )
        return self

    @model_validator(mode="after")
    def _agreements_name_questions(self) -> Plan:
        known = {question.name for question in self.questions}
        for agreement in self.agreements:
            for name in agreement.questions:
                if name not in known:
                    raise ValueError(f"the agreement '{agreement.title}' names '{name}', which is no question")
        return self

    @model_validator(mode="after")
    def _effort_is_equal(self) -> Plan:
        if not self.equal_effort:
            return self
        efforts = {(len(c.candidates), c.seeds, c.parts, c.set) for c in self.choices}
        if len(efforts) > 1:
            raise ValueError("equal_effort: the choices differ in their number of candidates, seeds, parts or data")
        return self

    @property
    def all_questions(self) -> tuple[Question, ...]:
        """The questions, and those of the candidates of choices and of the cells of maps."""
        return (*self.questions, *self._derived)

    @property
    def _groups(self) -> tuple[Choice | Map, ...]:
        return (*self.choices, *self.maps)

    @property
    def _derived(self) -> tuple[Question, ...]:
        return tuple(question for group in self._groups for question in group.questions)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of questions, choices and maps."""
        return (*(question.name for question in self.questions), *(group.name for group in self._groups))

    def asked(self, name: str) -> tuple[Question, ...]:
        """The question of this name, or the questions of the choice or map of this name.

        Raises:
            UserError: No question, choice or map has this name.
        """
        questions: dict[str, tuple[Question, ...]] = {question.name: (question,) for question in self.questions}
        questions |= {group.name: group.questions for group in self._groups}
        if name not in questions:
            raise UserError(f"the study has no question '{name}'", remedy=did_you_mean(name, questions))
        return questions[name]


def plan_file(name: str) -> Path:
    """File of a plan of the suite, or the file of this name."""
    packaged = PLANS / f"{name}.toml"
    return packaged if packaged.is_file() else Path(name)


def load_plan(name: str) -> Plan:
    """Read a plan of the suite, or a TOML file.

    Raises:
        UserError: There is no such plan, or it has a mistake.
    """
    file = plan_file(name)
    names = plan_names()
    if not file.is_file():
        raise UserError(
            f"there is no study '{name}'",
            expected="a file, or one of the suite",
            found=name,
            remedy=did_you_mean(name, names),
        )
    taken = [*names, Path(GRADIENT_PROBE_PAGE).stem]
    if file.resolve().parent != PLANS and file.stem in taken:
        raise UserError(
            "a plan may not be named as a page of the suite",
            where=file,
            expected=f"another name than {', '.join(taken)}",
            found=file.stem,
            remedy="name the file otherwise: its page has its name",
        )
    try:
        plan = Plan.model_validate(parse_toml(regular(file).read_text(encoding="utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise UserError(
            "the plan of a study cannot be read",
            where=file,
            found=_faults(error),
            remedy="mend it, or start from a copy of benchmark/study/plans/harm.toml",
        ) from error
    _check_choices(plan, file)
    return plan


def _faults(error: Exception) -> str:
    """Faults of a plan, in words."""
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    faults = [f"{'.'.join(map(str, fault['loc'])) or 'the plan'}: {fault['msg']}" for fault in error.errors()]
    return "; ".join(faults)[:300]


def _check_choices(plan: Plan, file: Path) -> None:
    """Refuse choices on people that a question tests, and candidates on different data.

    Each drawing (`standin.seed`) has its own people.
    """
    asked = (*plan.questions, *(question for map_ in plan.maps for question in map_.questions))
    tested = {load_profile(plan.profile, question.set)[0].standin.seed for question in asked}
    for choice in plan.choices:
        drawn = [load_profile(plan.profile, question.set)[0].standin for question in choice.questions]
        if any(pairs != drawn[0] for pairs in drawn):
            raise UserError(
                f"the candidates of the choice '{choice.name}' are not on the same data",
                where=file,
                expected="settings of standin. in its `set` alone",
                found="one in `candidates`",
                remedy="move it to `set`",
            )
        if drawn[0].seed in tested:
            raise UserError(
                f"the choice '{choice.name}' is made on people whom a question tests",
                where=file,
                expected="a drawing of its own, so that no setting is chosen by a test score",
                found=f"standin.seed={drawn[0].seed} in both",
                remedy=f'add "standin.seed={max(tested) + 1}" to its `set`',
            )
