"""Appearance of one person: weights of the head's shapes, colours, habits of the face. All ranges are our choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.standin.terms import DRAWN_AUS, Colour, Floats

ETHNICITIES = ("african", "asian", "caucasian")
SEXES = ("female", "male")
AGES = ("young", "old")
BUILDS = ("minweight", "averageweight", "maxweight")

AXES: tuple[tuple[str, str], ...] = (
    ("head/head-fat-decr", "head/head-fat-incr"),
    ("head/head-scale-horiz-decr", "head/head-scale-horiz-incr"),
    ("head/head-oval", "head/head-square"),
    ("head/head-triangular", "head/head-invertedtriangular"),
    ("head/head-round", "head/head-rectangular"),
    ("forehead/forehead-scale-vert-decr", "forehead/forehead-scale-vert-incr"),
    ("forehead/forehead-nubian-decr", "forehead/forehead-nubian-incr"),
    ("forehead/forehead-temple-decr", "forehead/forehead-temple-incr"),
    ("eyebrows/eyebrows-trans-backward", "eyebrows/eyebrows-trans-forward"),
    ("eyes/?-eye-scale-decr", "eyes/?-eye-scale-incr"),
    ("eyes/?-eye-trans-in", "eyes/?-eye-trans-out"),
    ("eyes/?-eye-height2-decr", "eyes/?-eye-height2-incr"),
    ("eyes/?-eye-corner1-down", "eyes/?-eye-corner1-up"),
    ("eyes/?-eye-corner2-down", "eyes/?-eye-corner2-up"),
    ("eyes/?-eye-eyefold-down", "eyes/?-eye-eyefold-up"),
    ("eyes/?-eye-bag-decr", "eyes/?-eye-bag-incr"),
    ("nose/nose-scale-horiz-decr", "nose/nose-scale-horiz-incr"),
    ("nose/nose-scale-vert-decr", "nose/nose-scale-vert-incr"),
    ("nose/nose-scale-depth-decr", "nose/nose-scale-depth-incr"),
    ("nose/nose-hump-decr", "nose/nose-hump-incr"),
    ("nose/nose-point-down", "nose/nose-point-up"),
    ("nose/nose-flaring-decr", "nose/nose-flaring-incr"),
    ("nose/nose-width2-decr", "nose/nose-width2-incr"),
    ("nose/nose-base-down", "nose/nose-base-up"),
    ("mouth/mouth-scale-horiz-decr", "mouth/mouth-scale-horiz-incr"),
    ("mouth/mouth-trans-down", "mouth/mouth-trans-up"),
    ("mouth/mouth-upperlip-height-decr", "mouth/mouth-upperlip-height-incr"),
    ("mouth/mouth-lowerlip-height-decr", "mouth/mouth-lowerlip-height-incr"),
    ("mouth/mouth-upperlip-volume-decr", "mouth/mouth-upperlip-volume-incr"),
    ("mouth/mouth-lowerlip-volume-decr", "mouth/mouth-lowerlip-volume-incr"),
    ("mouth/mouth-laugh-lines-in", "mouth/mouth-laugh-lines-out"),
    ("chin/chin-bones-decr", "chin/chin-bones-incr"),
    ("chin/chin-height-decr", "chin/chin-height-incr"),
    ("chin/chin-jaw-drop-decr", "chin/chin-jaw-drop-incr"),
    ("chin/chin-prominent-decr", "chin/chin-prominent-incr"),
    ("chin/chin-width-decr", "chin/chin-width-incr"),
    ("cheek/?-cheek-bones-decr", "cheek/?-cheek-bones-incr"),
    ("cheek/?-cheek-inner-decr", "cheek/?-cheek-inner-incr"),
    ("cheek/?-cheek-trans-down", "cheek/?-cheek-trans-up"),
    ("cheek/?-cheek-volume-decr", "cheek/?-cheek-volume-incr"),
)
"""Features of a face as two opposite shapes each; `?` stands for both sides, `l` and `r`."""
SPREAD = 0.32
"""Standard deviation of a feature; 1 is the whole shape."""

_SKINS: tuple[Colour, ...] = (
    (241, 205, 185),
    (229, 187, 160),
    (209, 161, 127),
    (179, 130, 98),
    (146, 102, 76),
    (112, 77, 58),
)
_HAIRS: tuple[Colour, ...] = ((30, 25, 24), (60, 42, 33), (94, 66, 46), (150, 118, 78), (140, 137, 134), (116, 60, 38))
_IRISES: tuple[Colour, ...] = ((56, 38, 28), (88, 62, 38), (80, 100, 84), (78, 104, 128))


@dataclass(frozen=True, slots=True)
class Head:
    """Appearance of one person; colours are RGB in 0..255."""

    male: float
    """0 for the female, 1 for the male shapes."""
    old: float
    ethnicity: tuple[float, float, float]
    """Weights of `ETHNICITIES`, which sum to 1."""
    build: float
    """-1 for the thin, 1 for the heavy shapes."""
    features: tuple[float, ...]
    """Weight of each of `AXES`, in [-1, 1]."""
    size: float
    """Height of the face from the eyes to the chin as a share of the average one in the crop."""
    skin: Colour
    lip: Colour
    iris: Colour
    hair: Colour
    brow: Colour
    brow_thick: float
    """Height of the brow, as a share of the height of its strip on the mesh."""
    brow_lift: float
    """Height of the brow's lower edge in that strip."""
    hairline: float
    """Height of the hairline above the average one, mesh units."""
    bald: bool
    stubble: float
    glasses: float
    """Darkness of the frame of the glasses; 0 for none."""
    blotches: tuple[float, ...]
    """Phases of the waves of the skin's tone."""
    expressive: float
    """Factor of this person's AUs."""
    asymmetry: tuple[float, ...]
    """Share by which each of `DRAWN_AUS` is stronger on the person's left side, and weaker on the right one."""


def draw_head(rng: np.random.Generator) -> Head:
    """Draw a person. A pure function of the generator's state."""

    def around(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.normal(), -2, 2))

    ethnicity = rng.dirichlet((0.6, 0.6, 0.6)).tolist()
    male, old = float(rng.random() < 0.5), float(rng.beta(1.0, 2.0))
    male = float(np.clip(male + (0.5 - male) * rng.uniform(0, 0.5), 0, 1))
    # Darker skin is likelier with African shapes, and paler skin with the others.
    shade = int(np.clip(round(around(1.5 + 2.6 * ethnicity[0], 0.9)), 0, len(_SKINS) - 1))
    skin = _tinted(_SKINS[shade], [around(1.0, 0.03) for _ in range(3)])
    # Fair hair on dark skin would hide the brows, which show three AUs.
    hairs = _HAIRS if shade < 3 else _HAIRS[:3]
    hair = _tinted(hairs[int(rng.integers(len(hairs)))], [around(1.0, 0.06) for _ in range(3)])
    red, dark = around(0.35, 0.12), rng.uniform(0.8, 1.0)
    lip = [c * (1 - red) + r * red for c, r in zip(skin, (150, 50, 56), strict=True)]
    brow = [dark * min(h, s * 0.35) + (1 - dark) * s for h, s in zip(hair, skin, strict=True)]
    return Head(
        male=male,
        old=old,
        ethnicity=(ethnicity[0], ethnicity[1], ethnicity[2]),
        build=around(0.0, 0.4),
        features=tuple(np.clip(SPREAD * rng.standard_normal(len(AXES)), -1, 1).tolist()),
        size=around(1.0, 0.025),
        skin=skin,
        lip=(lip[0] * 0.92, lip[1] * 0.82, lip[2] * 0.82),
        iris=_IRISES[int(rng.integers(len(_IRISES)))],
        hair=hair,
        brow=(brow[0], brow[1], brow[2]),
        brow_thick=around(0.95, 0.12),
        brow_lift=around(0.0, 0.05),
        hairline=around(0.0, 0.09),
        bald=bool(rng.random() < 0.1),
        stubble=float(rng.uniform(0.08, 0.3)) if male > 0.5 and rng.random() < 0.4 else 0.0,
        glasses=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.12 else 0.0,
        blotches=tuple(rng.uniform(0, 2 * np.pi, 6).tolist()),
        expressive=float(np.exp(np.clip(0.2 * rng.normal(), -0.4, 0.4))),
        asymmetry=tuple(np.clip(0.15 * rng.standard_normal(len(DRAWN_AUS)), -0.35, 0.35).tolist()),
    )


def macro_names() -> list[str]:
    """Names of the shapes of `macro_weights`, in its order."""
    races = [f"{race}-{sex}-{age}" for race in ETHNICITIES for sex in SEXES for age in AGES]
    bodies = [f"universal-{sex}-{age}-averagemuscle-{b}" for sex in SEXES for age in AGES for b in BUILDS]
    return [f"macrodetails/{name}" for name in (*races, *bodies)]


def macro_weights(who: Head) -> Floats:
    """Weights of the shapes of ethnicity, sex, age and build: products of the weights of the four."""
    sex, age = np.array([1 - who.male, who.male]), np.array([1 - who.old, who.old])
    build = np.array([max(0.0, -who.build), 1 - abs(who.build), max(0.0, who.build)])
    races = np.array(who.ethnicity)[:, None, None] * sex[None, :, None] * age
    bodies = sex[:, None, None] * age[None, :, None] * build
    return np.concatenate([races.ravel(), bodies.ravel()])


def feature_weights(who: Head) -> Floats:
    """Weights of both shapes of each of `AXES`, (2 x axes,): the first for a negative value, else the second."""
    values = np.array(who.features)
    return np.stack([np.clip(-values, 0, None), np.clip(values, 0, None)], axis=1).ravel()


def _tinted(colour: Colour, factors: list[float]) -> Colour:
    red, green, blue = (float(np.clip(c * f, 12, 246)) for c, f in zip(colour, factors, strict=True))
    return red, green, blue
