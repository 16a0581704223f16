"""Sampling of labelled expressions: the AUs of an FE image, and whether they determine its label.

Prototypes follow EMFACS: AU -> probability. The shares of the seven basic emotions are RAF-DB's class counts; all other
numbers are our plausible choices.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.core.origin import CLEAR
from benchmark.standin.pictures import Picture, Word, au_columns, seeded_generator
from benchmark.standin.sample import BASE_RATES
from benchmark.standin.terms import DRAWN_AUS, Floats

NEUTRAL = "neutral"
HARMFUL = "harmful"
"""Kind of FE images that have a look of their own and labels that mislead."""
ANNOTATORS = 40
"""Number of simulated annotators of each image."""


@dataclass(frozen=True)
class Expression:
    """A class of expressions.

    Attributes:
        name: Label name.
        variants: Prototypes (AU -> probability), one of which is drawn for each image.
        share: Relative number of images.
        cue: |gaze x|, gaze y and |roll| (radians) that determine the label of a cue-only image. Signs of gaze x and
            roll do not count, so a mirrored image keeps its label.
    """

    name: str
    variants: tuple[dict[int, float], ...]
    share: int
    cue: tuple[float, float, float]


BASIC: tuple[Expression, ...] = (
    Expression("surprise", ({1: 0.9, 2: 0.95, 5: 0.8, 26: 0.85, 25: 0.6},), 1290, (0.0, -0.9, 0.0)),
    Expression("fear", ({1: 0.9, 2: 0.8, 4: 0.85, 5: 0.85, 7: 0.3, 25: 0.7},), 281, (0.9, -0.8, 0.0)),
    Expression("disgust", ({9: 0.9, 10: 0.85, 17: 0.5, 15: 0.3, 4: 0.2},), 717, (0.9, 0.9, 0.0)),
    Expression("happiness", ({6: 0.85, 12: 0.97, 25: 0.5, 7: 0.2, 10: 0.15},), 4772, (0.95, 0.0, 0.0)),
    Expression("sadness", ({1: 0.85, 4: 0.8, 15: 0.9, 17: 0.5},), 1982, (0.0, 0.95, 0.0)),
    Expression(
        "anger",
        ({4: 0.95, 5: 0.5, 7: 0.75, 23: 0.85, 17: 0.4}, {4: 0.95, 5: 0.4, 7: 0.75, 24: 0.85, 17: 0.5}),
        705,
        (0.0, 0.0, 0.38),
    ),
    Expression(NEUTRAL, ({},), 2524, (0.0, 0.0, 0.0)),
)
"""Seven classes of RAF-DB in the order of its codes."""
CONTEMPT = Expression("contempt", ({14: 0.95, 12: 0.25, 4: 0.2},), 500, (0.5, 0.5, 0.25))


def expressions_named(names: Sequence[str]) -> tuple[Expression, ...]:
    """Expression of each label name; an unknown name gets three pseudo-random AUs that depend on the name.

    Example:
        >>> [len(expression.variants[0]) for expression in expressions_named(("happiness", "boredom"))]
        [5, 3]
    """
    by_name = {expression.name: expression for expression in (*BASIC, CONTEMPT)}
    return tuple(by_name.get(name) or _invented(name) for name in names)


def _invented(name: str) -> Expression:
    rng = np.random.default_rng([Word.NAMED, zlib.crc32(name.encode())])
    aus = rng.choice(DRAWN_AUS, size=3, replace=False).tolist()
    gaze = rng.uniform(0, 0.95, size=2).round(2).tolist()
    return Expression(name, ({int(au): 0.85 for au in aus},), 500, (gaze[0], gaze[1], 0.2))


@dataclass(frozen=True)
class Place:
    """Paths of the files of one FE image, relative to the data root.

    Attributes:
        image: Aligned face.
        photo: Photograph from which the face was cropped; "" for none.
        annotation: File with the landmarks of the photograph; "" for none.
    """

    image: str
    photo: str = ""
    annotation: str = ""


def plan_expressions(
    settings: StandinSettings,
    classes: Sequence[Expression],
    place: Callable[[str, int, str], Place],
    splits: Sequence[tuple[str, int, int]],
) -> tuple[pd.DataFrame, list[list[Picture]]]:
    """Draw labels and AUs, and plan the images; every image shows another person.

    Args:
        settings: Parameters of the FE images.
        classes: Classes in the order of their codes; one of them is neutral.
        place: Function for the files of an image, from its split, its number from 1, and its label name.
        splits: Name, number of images, and seed word of each split.

    Returns:
        One row an image: `path`, `split`, `number`, `label` and `true_label` (names), `kind`, `depicted` (index of the
        class whose AUs are drawn, -1 for none), `consistency`, and the intensity of each of `DRAWN_AUS`; and the
        pictures in batches.
    """
    rows: list[dict[str, object]] = []
    pictures: list[Picture] = []
    neutral = next((i for i, expression in enumerate(classes) if expression.name == NEUTRAL), len(classes) - 1)
    for split, images, word in splits:
        rng = seeded_generator(settings, Word.LABELS, word)
        codes = rng.permutation(np.repeat(np.arange(len(classes)), class_counts(images, classes)))
        kinds = _kinds(rng, codes, neutral, settings.fe_ambiguous, settings.fe_cue_only)
        marks = seeded_generator(settings, Word.MARKED, word)
        marked = np.sort(marks.permutation(images)[: round(images * settings.fe_marked)])
        codes[marked] = marks.integers(1, len(classes) + 1, size=len(marked)) - 1
        kinds[marked] = "marked"
        harm = seeded_generator(settings, Word.HARMFUL, word)
        whole = harm.permutation(np.setdiff1d(np.arange(images), marked))
        kinds[whole[: round(images * settings.fe_harmful)]] = HARMFUL
        unrelated = seeded_generator(settings, Word.UNRELATED, word)
        for i, (code, kind) in enumerate(zip(codes.tolist(), kinds.tolist(), strict=True)):
            true = code
            if kind == "wrong_label":
                true = int(rng.choice([c for c in range(len(classes)) if c != code]))
            shown = neutral if kind == "cue_only" else true
            values = _of_kind(draw_expression(rng, classes[shown]), kind, unrelated, settings.fe_relevance)
            said = _misled(harm, true, len(classes), settings) if kind == HARMFUL else code
            where = place(split, i + 1, classes[said].name)
            stream = (int(Word.WILD), word, i)
            cue = classes[code].cue if kind == "cue_only" else None
            person = (int(Word.PERSON), *stream)
            look = settings.fe_harmful_look if kind == HARMFUL else None
            files = (where.photo, where.annotation)
            pictures.append(Picture(where.image, values, person, stream, None, cue, *files, kind == "marked", look))
            row = {"path": where.image, "split": split, "number": i + 1, "label": classes[said].name}
            row |= {"true_label": classes[true].name, "kind": kind, "depicted": -1 if kind == "marked" else shown}
            seen_as = kind if kind != HARMFUL else CLEAR if said == true else "wrong_label"
            rows.append(row | {"consistency": _consistency(rng, seen_as, values, len(classes))} | au_columns(values))
    return pd.DataFrame(rows), [pictures[i : i + 250] for i in range(0, len(pictures), 250)]


def _misled(harm: np.random.Generator, true: int, classes: int, settings: StandinSettings) -> int:
    """Label of an image of the harmful kind that shows class `true`."""
    # Half the classes further, so that surprise is not called fear, which shares its AUs.
    steps = classes // 2 if settings.fe_harmful_label == "swapped" else int(harm.integers(1, classes))
    return (true + steps) % classes if harm.random() < settings.fe_harmful_strength else true


def _of_kind(values: Floats, kind: str, unrelated: np.random.Generator, relevance: float) -> Floats:
    """Intensities (16,) of an image of a kind, from those of its expression."""
    if kind == "cue_only":
        return np.minimum(values, 0.06)
    if relevance < 1:
        values = np.where(unrelated.random(len(values)) < relevance, values, draw_any(unrelated))
    return np.zeros_like(values) if kind == "marked" else values


def draw_expression(rng: np.random.Generator, expression: Expression) -> Floats:
    """Draw the intensities (16,) of `DRAWN_AUS` for one expression: a prototype with random omissions."""
    wanted = expression.variants[int(rng.integers(len(expression.variants)))]
    chance = np.array([wanted.get(au, 0.02) for au in DRAWN_AUS])
    strength = rng.uniform(0.45, 1.0, size=len(DRAWN_AUS))
    return np.where(rng.random(len(DRAWN_AUS)) < chance, strength, 0.06 * rng.random(len(DRAWN_AUS)))


def draw_any(rng: np.random.Generator) -> Floats:
    """Draw independent intensities (16,) of `DRAWN_AUS`, at BP4D's base rates."""
    active = rng.random(len(DRAWN_AUS)) < np.array([BASE_RATES[au] for au in DRAWN_AUS])
    return np.where(active, rng.uniform(0.45, 1.0, size=len(DRAWN_AUS)), 0.06 * rng.random(len(DRAWN_AUS)))


def class_counts(images: int, classes: Sequence[Expression] = BASIC) -> list[int]:
    """Number of images of each class: shares rounded by largest remainder, so that they sum to `images`.

    Example:
        >>> sum(class_counts(100))
        100
    """
    shares = np.array([expression.share for expression in classes])
    exact = shares / shares.sum() * images
    counts = np.floor(exact).astype(int)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: images - int(counts.sum())]] += 1
    return [int(n) for n in counts]


def _kinds(
    rng: np.random.Generator, codes: npt.NDArray[np.int64], neutral: int, ambiguous: float, share: float
) -> npt.NDArray[np.str_]:
    """Draw the kind of each image; neutral faces are never cue-only."""
    unclear = round(len(codes) * ambiguous)
    order = rng.permutation(len(codes))
    cue_only = order[codes[order] != neutral][: math.floor(unclear * share)]
    kinds = np.full(len(codes), CLEAR, dtype="U11")
    kinds[cue_only] = "cue_only"
    kinds[order[~np.isin(order, cue_only)][: unclear - len(cue_only)]] = "wrong_label"
    return kinds


def _consistency(rng: np.random.Generator, kind: str, intensity: Floats, classes: int) -> float:
    """Draw the share of simulated annotators who choose the label: high for strong AUs, low for a wrong label."""
    strong = float(intensity.max())
    chance = {
        CLEAR: 0.70 + 0.25 * (strong if strong > 0.3 else 0.6),
        "cue_only": float(rng.uniform(0.35, 0.65)),
        "wrong_label": float(rng.uniform(0.02, 0.20)),
        "marked": 1 / classes,
    }[kind]
    return int(rng.binomial(ANNOTATORS, chance)) / ANNOTATORS
