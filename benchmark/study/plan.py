"""The plan of a study: questions to MAL that only data of known truth can answer, as a TOML file has them."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError, did_you_mean

PLANS = Path(__file__).parent / "plans"
"""The plans of the suite."""
GRADIENT_PROBE_PAGE = "gradient_probe.md"
"""Page of the gradient probe, which stands beside the pages of plans."""


def candidate_name(candidate: Sequence[str]) -> str:
    """What readers call it."""
    return "; ".join(candidate) or "as the profile has it"


class WeightSelection(BaseModel):
    """Whether the weights of a method's FE images find those of a kind.

    A trial finds them if clear images have the higher weight (AUC), and images of the kind have little of it beside
    them. The AUC alone is not enough of a kind that lies apart: where all weights drift up or down together, it comes
    near 1 or 0 though nothing was learned of single samples.

    Attributes:
        method: Whose weights.
        kind: Of the FE images that are not clear.
        auc: At least; clear against the kind.
        share: At most; mean weight of the kind, over that of clear images.
        found: Whether they are to be found in every trial, or in none.
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
    selects: tuple[WeightSelection, ...] = ()


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
                title=f"{self.title}: {candidate_name(candidate)}",
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

    @model_validator(mode="after")
    def _names_differ(self) -> Plan:
        counts = Counter([*self.names, *(each.name for choice in self.choices for each in choice.questions)])
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' is the name of two questions or choices (candidates count: beta-1, ...)")
        return self

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
    names = sorted(path.stem for path in PLANS.glob("*.toml"))
    if not file.is_file():
        raise UserError(
            f"there is no study '{name}'",
            expected="a file, or one of the suite",
            found=name,
            remedy=did_you_mean(name, names),
        )
    taken = [*names, Path(GRADIENT_PROBE_PAGE).stem]
    if file != own and file.stem in taken:
        raise UserError(
            "a plan may not be named as a page of the suite",
            where=file,
            expected=f"another name than {', '.join(taken)}",
            found=file.stem,
            remedy="name the file otherwise: its page has its name",
        )
    try:
        plan = Plan.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
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
    """Refuse candidates on people whom a question tests, or on data that differ between them.

    People are those of a drawing.
    """
    tested = {load_profile(plan.profile, question.set)[0].standin.seed for question in plan.questions}
    for choice in plan.choices:
        drawn = [load_profile(plan.profile, question.set)[0].standin for question in choice.questions]
        if any(each != drawn[0] for each in drawn):
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
