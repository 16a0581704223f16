"""Look at any folder: which datasets it holds, in which layout, how complete, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.core.errors import wrong_path
from benchmark.data.places import subfolders
from benchmark.data.sighting import Sighting

DEPTH = 3
"""Number of levels below the given folder that are searched."""
MOST_FOLDERS = 60
"""Number of folders in one folder that are looked into; one with more holds subjects, not datasets."""


@dataclass(frozen=True)
class Diagnosis:
    """A dataset that was recognised, and what to do next.

    Attributes:
        name: Name of the dataset on the command line.
        sighting: What was recognised, and where.
        root: The data root to name with `--data`.
        steps: Commands, in order.
    """

    name: str
    sighting: Sighting
    root: Path
    steps: tuple[str, ...]


def diagnose(root: Path) -> list[Diagnosis]:
    """Recognise the datasets in a folder and below it.

    Args:
        root: Any folder.

    Returns:
        One diagnosis a dataset, of the folder nearest to `root` that holds it; readable ones first.

    Raises:
        UserError: The folder does not exist.

    Example:
        >>> from pathlib import Path
        >>> diagnose(Path("data"))  # doctest: +SKIP
        [Diagnosis(name='bp4d', ...)]
    """
    if not root.is_dir():
        raise wrong_path(root, "folder", remedy="name the folder that holds your data")
    profile, _ = load_profile("paper", [])
    known = [
        *(datasets.open_au(name, profile) for name in datasets.names("au")),
        *(datasets.open_fe(profile, name) for name in datasets.names("fe")),
    ]
    best: dict[str, Sighting] = {}
    level = [root]
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            seen = {d.name: sighting for d in known if (sighting := d.recognise(folder)) is not None}
            for name, sighting in seen.items():
                if name not in best or (sighting.readable and not best[name].readable):
                    best[name] = sighting
            inner = subfolders(folder)
            # A dataset's own folders hold no other dataset, and there can be thousands of them.
            if not any(sighting.readable for sighting in seen.values()) and len(inner) <= MOST_FOLDERS:
                below += inner
        level = below
    kinds = {dataset.name: dataset.kind for dataset in known}
    found = [_diagnosis(name, seen, kinds[name]) for name, seen in best.items()]
    return sorted(found, key=lambda d: (not d.sighting.readable, d.name))


def next_steps(name: str, root: Path) -> tuple[str, ...]:
    """The commands from a data root to the first training step."""
    return (
        f"malbench data check {name} --data {root}",
        f"malbench data prepare {name} --data {root}",
        f"malbench run {name} --data {root}",
    )


def _diagnosis(name: str, seen: Sighting, kind: str) -> Diagnosis:
    named = seen.folder.name == seen.place
    root = seen.folder.parent
    if seen.fault is not None:
        steps: tuple[str, ...] = (f"malbench data doctor {root if named else seen.folder}",)
    elif kind == "fe":
        steps = (f"malbench data check bp4d --data {root}   # an FE dataset is checked beside an AU dataset",)
    else:
        steps = next_steps(name, root)
    link = () if named else (f"ln -s {seen.folder.resolve()} {root / seen.place}",)
    return Diagnosis(name, seen, root, (*link, *steps))
