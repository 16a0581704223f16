"""Look at any folder: which datasets it holds, in which layout, how complete, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark import datasets
from benchmark.api.commands import Commands, doctor
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError, wrong_path
from benchmark.data.files import listing
from benchmark.data.findings import few
from benchmark.data.places import MOST_FOLDERS, archives, packed_as, subfolders
from benchmark.data.sighting import Count, Sighting
from benchmark.datasets.base import AuDataset, Dataset, FeDataset

DEPTH = 3
"""Number of levels below the given folder that are searched."""
ABOVE = 4
"""Number of levels above the given folder that may be the folder of a dataset."""
AS_IS = "data.alignment=as_is"
"""Setting with which images are read without landmarks."""
LEAVE_OUT = "data.missing=leave_out"
"""Setting with which labelled frames without an image are left out."""
KINDS = ("image", "coding", "landmark")
"""Words in the names of a dataset's parts that name the folder that holds the part."""


@dataclass(frozen=True)
class Diagnosis:
    """A dataset that was recognised, and what to do next.

    Attributes:
        name: Name of the dataset on the command line.
        sighting: What was recognised, and where.
        root: The data root to name with `--data`.
        steps: Commands, in order.
        missing: Parts that this copy lacks, and archives in it that are not unpacked.
        beside: Sentences on the other datasets that every run on it needs.
        within: Sentence that says of which part of the dataset the given folder is; "" if the dataset is in the folder.
    """

    name: str
    sighting: Sighting
    root: Path
    steps: tuple[str, ...]
    missing: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    within: str = ""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing that a run needs."""
        return self.sighting.readable and not (self.missing or self.beside or self.within)


def diagnose(root: Path) -> list[Diagnosis]:
    """Recognise the datasets in a folder and below it, or the dataset whose part the folder is.

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
    opened: list[Dataset] = [
        *(datasets.open_au(name, profile) for name in datasets.names("au")),
        *(datasets.open_fe(profile, name) for name in datasets.names("fe")),
    ]
    # The others are readers for datasets that profiles declare.
    known = {d.name: d for d in opened if type(d).recognise is not Dataset.recognise}
    whole = _whole(root, known)
    if whole is not None:
        return [whole]
    seen = _sightings(root, known)
    group = _Group(root, known, seen, profile.data.fe)
    return sorted(map(group.diagnosis, seen), key=lambda d: (not d.sighting.readable, d.name))


def _whole(root: Path, known: Mapping[str, Dataset]) -> Diagnosis | None:
    """Diagnosis of the dataset in whose folder the given one lies; None if it lies in none."""
    here = root.absolute()
    for above in here.parents[:ABOVE]:
        for name, dataset in known.items():
            part = _recognised(dataset, root)
            # Another folder above is looked into only if a part of the dataset lies right below it.
            likely = above == here.parent and part is not None and not part.readable
            if above.name.casefold() != dataset.folder.casefold() and not likely:
                continue
            seen = _recognised(dataset, above)
            if seen is not None and seen.readable:
                return _of_part(name, seen, part)
    return None


def _of_part(name: str, seen: Sighting, part: Sighting | None) -> Diagnosis:
    """Diagnosis of a dataset of which the given folder is a part."""
    held = [count.name for count in part.counts if count.found] if part is not None else []
    kind = next((kind for kind in KINDS if held and all(kind in name for name in held)), None)
    words = f"This is the {kind} folder of {seen.title}." if kind else f"This folder lies inside {seen.title}."
    root = seen.folder.parent
    link = _link(seen, root)
    checked = name if name in datasets.names("au") else "bp4d"
    return Diagnosis(name, seen, root, (*link, Commands(checked, root).check), within=words)


def _sightings(root: Path, known: Mapping[str, Dataset]) -> dict[str, Sighting]:
    """Where each dataset is, by name: the readable folder nearest to `root`, else the nearest one."""
    best: dict[str, Sighting] = {}
    level = [root]
    for _ in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            seen = {name: sighting for name, d in known.items() if (sighting := _sight(folder, d)) is not None}
            for name, sighting in seen.items():
                if name not in best or (sighting.readable and not best[name].readable):
                    best[name] = sighting
            inner = subfolders(folder)
            # A dataset's own folders hold no other dataset, and there can be thousands of them.
            if not any(sighting.readable for sighting in seen.values()) and len(inner) <= MOST_FOLDERS:
                below += inner
        level = below
    # A folder that is a dataset itself has the other ones beside it.
    for name, dataset in known.items():
        places = (found.folder.parent / dataset.folder for found in list(best.values()))
        beside = next((sighting for place in places if (sighting := _recognised(dataset, place)) is not None), None)
        if name not in best and beside is not None:
            best[name] = beside
    return best


def _sight(folder: Path, dataset: Dataset) -> Sighting | None:
    """The best sighting of a dataset in a folder; an archive of all of it comes before archives of parts."""
    seen = _recognised(dataset, folder)
    packed = None if seen is not None and seen.readable else packed_as(folder, dataset.folder)
    if packed is None:
        return seen or _named_alone(folder, dataset)
    target = shlex.quote(str(folder / dataset.folder))
    fault = UserError(f"{packed.name} is not unpacked", where=packed, remedy=f"unpack it into {target}")
    return Sighting(dataset.title, folder, "an archive", (), fault, dataset.folder)


def _named_alone(folder: Path, dataset: Dataset) -> Sighting | None:
    """A folder that has the dataset's name and none of its files; None for other folders."""
    if folder.name.casefold() != dataset.folder.casefold():
        return None
    page = f"docs/data/{dataset.name}.md"
    fault = UserError(
        f"the folder is called {folder.name}, but holds no file of {dataset.title} that is known",
        where=folder,
        expected=f"one of the layouts in {page}",
        found=listing(folder),
        remedy=f"unpack or copy {dataset.title} there as {page} shows",
    )
    return Sighting(dataset.title, folder, "", (), fault, dataset.folder)


def _recognised(dataset: Dataset, folder: Path) -> Sighting | None:
    """A dataset in a folder; one whose files contradict each other is a sighting with this fault."""
    try:
        return dataset.recognise(folder)
    except UserError as fault:
        return Sighting(dataset.title, folder, "", (), fault, dataset.folder)


def _link(seen: Sighting, root: Path) -> tuple[str, ...]:
    """Command that gives a dataset its place below a data root; none if it is there."""
    place = root / seen.place
    if seen.folder.absolute() == place.absolute():
        return ()
    return (shlex.join(["ln", "-s", str(seen.folder.resolve()), str(place)]),)


@dataclass(frozen=True)
class _Group:
    """The datasets that lie in one folder: AU datasets need the FE dataset beside them.

    Attributes:
        given: The folder.
        known: All datasets, by name.
        seen: What was recognised, by name.
        fe: Name of the FE dataset of every run.
    """

    given: Path
    known: Mapping[str, Dataset]
    seen: Mapping[str, Sighting]
    fe: str

    def diagnosis(self, name: str) -> Diagnosis:
        seen, dataset = self.seen[name], self.known[name]
        if seen.fault is not None:
            again = doctor(self.given, "again, after this is mended")
            return Diagnosis(name, seen, self._root(seen), (*_unpack(seen), again))
        if isinstance(dataset, AuDataset):
            return self._of_au(dataset, seen)
        return self._of_fe(name, seen)

    def _of_au(self, dataset: AuDataset, seen: Sighting) -> Diagnosis:
        root, missing = seen.folder.parent, self._missing(dataset.name)
        settings = _settings(seen, packed=bool(self._packed(dataset.name)))
        needs = {self.fe: f"every run needs it as {root / self.known[self.fe].folder}"}
        if dataset.start is not None:
            without = f"{dataset.name}.start.method="
            needs[dataset.start.dataset] = f"backbones start from it; to do without: --set {without}"
            settings += [] if dataset.start.dataset in self.readable else [without]
        there = [need for need in needs if need in self.readable]
        links = [step for need in there for step in _link(self.seen[need], root)]
        incomplete = bool(missing) or any(self._missing(need) for need in there)
        beside = tuple(self._absent(need, why) for need, why in needs.items() if need not in there)
        commands = Commands(dataset.name, root, overrides=tuple(settings))
        steps = (*_link(seen, root), *links, commands.check, *self._train(commands, there, incomplete))
        return Diagnosis(dataset.name, seen, root, steps, missing, beside)

    def _train(self, commands: Commands, there: Sequence[str], incomplete: bool) -> Iterator[str]:
        """Commands from checked data, with the datasets `there` beside them, to training."""
        packed = [path.name for name in (commands.dataset, *there) for path in self._packed(name)]
        if self.fe not in there:
            yield doctor(self.given, f"again, with {self.known[self.fe].title} beside it")
        elif packed:
            yield doctor(self.given, f"again, after this is unpacked: {few(packed)}")
        elif incomplete:
            yield from (*commands.trial, commands.prepare, commands.run_incomplete)
        else:
            yield from (commands.prepare, commands.run)

    def _of_fe(self, name: str, seen: Sighting) -> Diagnosis:
        others = [other for other in self.readable if isinstance(self.known[other], AuDataset)]
        if others:  # its place is beside them, and their commands check it, too
            return Diagnosis(name, seen, self._root(seen), (), self._missing(name))
        alone = ("no AU dataset beside it, and an FE dataset is read beside one",)
        steps = (doctor(self.given, "again, with BP4D, DISFA or GFT there"),)
        return Diagnosis(name, seen, self._root(seen), steps, self._missing(name), alone)

    @property
    def readable(self) -> list[str]:
        """Names of the datasets that can be read."""
        return [name for name, seen in self.seen.items() if seen.readable]

    def _root(self, seen: Sighting) -> Path:
        return seen.folder.parent if seen.folder.name == seen.place else self.given

    def _absent(self, name: str, why: str) -> str:
        state = "not readable" if name in self.seen else "not found beside it"
        return f"{self.known[name].title}: {state}; {why}"

    def _lacking(self, name: str) -> list[Count]:
        """Parts that are not complete; for an FE dataset none if its training images are there."""
        seen, dataset = self.seen[name], self.known[name]
        train = sum(dataset.known_classes().get("train", {}).values()) if isinstance(dataset, FeDataset) else 0
        return [count for count in seen.counts if count.lacking and not 0 < train <= count.found]

    def _packed(self, name: str) -> list[Path]:
        """Archives of an incomplete dataset that are not unpacked."""
        return archives(self.seen[name].folder) if self._lacking(name) else []

    def _missing(self, name: str) -> tuple[str, ...]:
        """Parts and archives, in words."""
        packed = few([path.name for path in self._packed(name)])
        return (*(count.in_words for count in self._lacking(name)), *([f"not unpacked: {packed}"] if packed else []))


def _settings(seen: Sighting, *, packed: bool) -> list[str]:
    """Settings with which an incomplete copy can be read; images in an archive are not left out, but unpacked."""
    lacking = [count for count in seen.counts if count.lacking]
    without_marks = any("landmark" in count.name and not count.found for count in lacking)
    without_images = not packed and any("image" in count.name for count in lacking)
    return [*([AS_IS] if without_marks else []), *([LEAVE_OUT] if without_images else [])]


def _unpack(seen: Sighting) -> tuple[str, ...]:
    """Command that unpacks the archive of all of a dataset; none for another fault."""
    packed = packed_as(seen.folder, seen.place)
    if packed is None or packed.suffix.lower() != ".zip":
        return ()
    return (shlex.join(["unzip", str(packed), "-d", str(seen.folder / seen.place)]),)
