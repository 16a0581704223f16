"""Commands to type next on a data root, with every path and setting quoted for the shell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

PAPER = "paper"
"""Profile that a command takes if none is named."""
TRIAL = "smoke"
"""Profile of a first trial."""


@dataclass(frozen=True)
class Commands:
    """Commands on one data root that name what the user named.

    Attributes:
        dataset: Name of the AU dataset.
        root: The data root.
        profile: Name or path of the profile.
        overrides: Changes to the profile, `KEY=VALUE` each.

    Example:
        >>> Commands("bp4d", Path("my data")).check
        "malbench data check bp4d --data 'my data'"
    """

    dataset: str
    root: Path
    profile: str = PAPER
    overrides: tuple[str, ...] = ()

    def having(self, *overrides: str) -> Commands:
        """The same commands with more changes to the profile; a setting that is named already keeps its value."""
        named = {override.partition("=")[0] for override in self.overrides}
        more = (override for override in overrides if override.partition("=")[0] not in named)
        return replace(self, overrides=(*self.overrides, *more))

    @property
    def check(self) -> str:
        """Check of the data."""
        return self._line("data", "check")

    @property
    def prepare(self) -> str:
        """Packing of the frames."""
        return self._line("data", "prepare")

    @property
    def run(self) -> str:
        """All trials, on complete data."""
        return self._line("run")

    @property
    def run_incomplete(self) -> str:
        """All trials, on the data that are there."""
        return self._line("run", more=("--allow-incomplete",))

    @property
    def trial(self) -> tuple[str, ...]:
        """One method for a few steps, on the data that are there; none for a profile of the user's own.

        The small profile knows no dataset that another one declares.
        """
        if self.profile not in {PAPER, TRIAL}:
            return ()
        small = replace(self, profile=TRIAL)
        line = small._line("run", more=("--allow-incomplete", "--method", "stl"))
        return (f"{line}   # a first trial: a few steps of one method",)

    def _line(self, *words: str, more: tuple[str, ...] = ()) -> str:
        profile = () if self.profile == PAPER else ("--profile", self.profile)
        settings = (word for override in self.overrides for word in ("--set", override))
        return shlex.join(["malbench", *words, self.dataset, "--data", str(self.root), *settings, *profile, *more])


def doctor(folder: Path, why: str = "") -> str:
    """The command that looks at a folder; `why` follows as a comment."""
    return shlex.join(["malbench", "data", "doctor", str(folder)]) + (f"   # {why}" if why else "")
