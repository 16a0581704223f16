"""Words for numbers of things."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "trial"), counted(1200, "trial")
        ('1 trial', '1,200 trials')
    """
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
