"""Names of action units (AUs), as the Facial Action Coding System gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NAMES: Mapping[int, str] = MappingProxyType({
    1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser",
    7: "lid tightener", 9: "nose wrinkler", 10: "upper lip raiser", 11: "nasolabial deepener", 12: "lip corner puller",
    13: "sharp lip puller", 14: "dimpler", 15: "lip corner depressor", 16: "lower lip depressor", 17: "chin raiser",
    18: "lip pucker", 20: "lip stretcher", 22: "lip funneler", 23: "lip tightener", 24: "lip pressor",
    25: "lips part", 26: "jaw drop", 27: "mouth stretch", 28: "lip suck", 43: "eye closure", 45: "blink",
})  # fmt: skip
"""Names by number. Source: Ekman, Friesen & Hager, Facial Action Coding System (2002)."""


def with_name(au: str) -> str:
    """An AU with its name; the AU alone if the system has no name for it.

    Example:
        >>> with_name("AU12"), with_name("smile")
        ('AU12, lip corner puller', 'smile')
    """
    number = au.removeprefix("AU")
    name = NAMES.get(int(number)) if number.isdecimal() else None
    return au if name is None else f"{au}, {name}"
