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

PLANS = Path(__file__).parent / "plans"
"""Folder of the suite's plans."""
GRADIENT_PROBE_PAGE = "gradient_probe.md"
"""File name of the page of the gradient probe, beside the pages of plans."""


def candidate_name(candidate: Sequence[str]) -> str:
    """Readable name of a candidate: its changes to the profile."""
    return "; ".join(candidate) or "as the profile has it"


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
        pairs: Pairs of methods to compare.
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
    pairs: tuple[tuple[str, str], ...] = ()
    selects: tuple[WeightSelection, ...] = ()


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


class Plan(BaseModel):
    """A profile, an AU dataset, and the questions and choices in the order of the runs, from one TOML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    dataset: str
    choices: tuple[Choice, ...] = ()
    questions: tuple[Question, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Plan:
        counts = Counter([*self.names, *(question.name for choice in self.choices for question in choice.questions)])
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' is the name of two questions or choices (candidates count: beta-1, ...)")
        return self

    @property
    def all_questions(self) -> tuple[Question, ...]:
        """The questions, and those of the candidates of choices."""
        return (*self.questions, *(question for choice in self.choices for question in choice.questions))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of questions and choices."""
        return (*(question.name for question in self.questions), *(choice.name for choice in self.choices))

    def asked(self, name: str) -> tuple[Question, ...]:
        """The question of this name, or the questions of the candidates of the choice of this name.

        Raises:
            UserError: No question and no choice has this name.
        """
        questions: dict[str, tuple[Question, ...]] = {question.name: (question,) for question in self.questions}
        questions |= {choice.name: choice.questions for choice in self.choices}
        if name not in questions:
            raise UserError(f"the study has no question '{name}'", remedy=did_you_mean(name, questions))
        return questions[name]


def load_plan(name: str) -> Plan:
    """Read a plan of the suite, or a TOML file.

    Raises:
        UserError: There is no such plan, or it has a mistake.
    """
    packaged = PLANS / f"{name}.toml"
    file = packaged if packaged.is_file() else Path(name)
    names = sorted(path.stem for path in PLANS.glob("*.toml"))
    if not file.is_file():
        raise UserError(
            f"there is no study '{name}'",
            expected="a file, or one of the suite",
            found=name,
            remedy=did_you_mean(name, names),
        )
    taken = [*names, Path(GRADIENT_PROBE_PAGE).stem]
    if file != packaged and file.stem in taken:
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
            found=str(error).replace("\n", " ")[:200],
            remedy="mend it, or start from a copy of benchmark/study/plans/small.toml",
        ) from error
    _check_choices(plan, file)
    return plan


def _check_choices(plan: Plan, file: Path) -> None:
    """Refuse choices on people that a question tests, and candidates on different data.

    Each drawing (`standin.seed`) has its own people.
    """
    tested = {load_profile(plan.profile, question.set)[0].standin.seed for question in plan.questions}
    for choice in plan.choices:
        drawn = [load_profile(plan.profile, question.set)[0].standin for question in choice.questions]
        if any(pairs != drawn[0] for pairs in drawn):
            raise UserError(
                f"the candidates of the choice '{choice.name}' are not on the same data",
                where=file,
                expected="settings of standin. in its `set` alone",
                found="one in `candidates`",
                remedy="move it",
            )
        if drawn[0].seed in tested:
            raise UserError(
                f"the choice '{choice.name}' is made on people whom a question tests",
                where=file,
                expected="a drawing of its own, so that no setting is chosen by a test score",
                found=f"standin.seed={drawn[0].seed} in both",
                remedy=f'add "standin.seed={max(tested) + 1}" to its `set`',
            )
