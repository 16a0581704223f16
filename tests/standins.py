"""Stand-ins of the suite's datasets, written with few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.settings import StandinSettings
from benchmark.datasets.base import Dataset, Progress
from benchmark.standin.write import write_standin_root


def opened(*names: str, overrides: Sequence[str] = ()) -> list[Dataset]:
    """Datasets under the standin profile."""
    profile, _ = load_profile("standin", tuple(overrides))
    of_fe = datasets.names("fe", profile)
    return [datasets.open_fe(profile, n) if n in of_fe else datasets.open_au(n, profile) for n in names]


def draw(
    out: Path,
    settings: StandinSettings,
    *names: str,
    overrides: Sequence[str] = (),
    progress: Progress = None,
) -> None:
    """Write the stand-in of these datasets; without names, that of BP4D and RAF-DB."""
    write_standin_root(out, opened(*(names or ("bp4d", "rafdb")), overrides=overrides), settings, progress)
