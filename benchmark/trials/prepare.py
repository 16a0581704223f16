"""Preparation of data: from a data root or the stand-in to packed frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from benchmark import datasets
from benchmark.config.protocol import Protocol
from benchmark.config.settings import DEFAULT_RENDERER, Profile
from benchmark.config.trial import RENDERS
from benchmark.core.errors import UserError
from benchmark.core.hashing import digest_of_bytes
from benchmark.data.detect import align_detected
from benchmark.data.faces import MARKER, FaceSet, data_root
from benchmark.data.frames import PackedFaces, pack
from benchmark.data.known import known_clear
from benchmark.data.trial_data import TrialData
from benchmark.datasets.base import AuDataset, Dataset, FeDataset, ReadOptions
from benchmark.datasets.folds import resplit
from benchmark.standin.people import read_renders, write_people
from benchmark.standin.write import write_standin_root
from benchmark.trials.expand import PRETRAINING, AuSource, Sources, StartSource, method_hparams
from benchmark.trials.source_hash import standin_hash
from methods import Registry
from methods.identity import Identity

Progress = Callable[[str, int, int], None]
"""Called with (name of the work, items done, items)."""
Faults = list[UserError] | None


@dataclass(frozen=True)
class Chosen:
    """The datasets of a run.

    Attributes:
        au: The AU dataset.
        fe: The FE dataset.
        start: Source dataset of the backbone initialisation; None for none.
        split: Number of the random split of the AU dataset; 0 for the protocol's.
    """

    au: AuDataset
    fe: FeDataset
    start: AuDataset | None = None
    split: int = 0

    @classmethod
    def open(cls, name: str, profile: Profile) -> Chosen:
        """The AU dataset of this name, with the FE dataset and the start of the profile.

        Raises:
            UserError: An unknown dataset, or a wrong setting.
        """
        au = datasets.open_au(name, profile)
        start = None if au.start is None else datasets.open_au(au.start.dataset, profile)
        return cls(au, datasets.open_fe(profile), start, profile.data.split)

    def protocol_at(self, root: Path | None, present: Collection[str] | None = None) -> Protocol:
        """Protocol of the AU dataset's copy at a root, with the parts of the split.

        Args:
            root: The data root; None: the stand-in, before it is drawn.
            present: Subjects that the copy has; None for all of the protocol's.

        Raises:
            UserError: The files that define the protocol are missing or wrong, or there are too few subjects.
        """
        protocol = self.au.protocol if root is None else self.au.protocol_at(root)
        return resplit(protocol, self.split, present)

    @property
    def without_start(self) -> str:
        """Remedy for a root without the dataset that backbones start from."""
        return f"backbones of {self.au.title} start from it (A14); without it: --set {self.au.name}.start.method="

    @property
    def unread_sources(self) -> Sources:
        """Protocols of the datasets before any file is read, without fingerprints."""
        begun, start = None, self.au.start
        if self.start is not None and start is not None:
            begun = StartSource(AuSource(self.start.protocol), start.settings)
        return Sources(AuSource(self.protocol_at(None)), begun)

    @property
    def all(self) -> tuple[Dataset, ...]:
        """Every dataset once."""
        return tuple(dataset for dataset in (self.start, self.au, self.fe) if dataset is not None)


def standin_root(cache: Path, profile: Profile, used: Sequence[Dataset], progress: Progress | None = None) -> Path:
    """Folder of the stand-in of these datasets, written into the cache the first time.

    Raises:
        UserError: The cache cannot be written to, or the renderer is not installed.
    """
    parts = [f"{dataset.name} {dataset.settings.model_dump_json()}" for dataset in used]
    report = _named(progress, "drawing stand-in faces")
    return _drawn(
        cache,
        " ".join([profile.standin.model_dump_json(), *parts]),
        standin_hash(file for dataset in used for file in datasets.source_files(dataset)),
        lambda root: write_standin_root(root, used, profile.standin, report),
    )


def _drawn(cache: Path, name: str, code: str, write: Callable[[Path], None]) -> Path:
    """Folder of drawings below the cache, by name and hash of the code; written the first time."""
    digest = digest_of_bytes(f"{name} {code}".encode(), size=6)
    root = cache / "standin" / digest
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{digest}.lock"):
        if not (root / MARKER).is_file():
            write(root)
    return root


def starts_from_renders(profile: Profile) -> bool:
    """Whether the backbone of any method is pre-trained on renders."""
    return any(settings.get("weights") == RENDERS for settings in (profile.method, *profile.methods.values()))


def read_people(cache: Path, profile: Profile, registry: Registry, progress: Progress | None = None) -> FaceSet | None:
    """Renders for the pre-training of backbones, drawn the first time; None if no backbone starts from renders.

    Raises:
        UserError: A setting is wrong, or the renders cannot be written.
    """
    if not starts_from_renders(profile):
        return None
    hparams, settings = method_hparams(profile, PRETRAINING, registry), profile.standin
    assert isinstance(hparams, Identity.HParams)
    people, views = hparams.identities, hparams.views
    report = _named(progress, "drawing people without AUs")
    root = _drawn(
        cache,
        f"{RENDERS} {settings.size} {settings.seed} {people} {views}{_other(settings.renderer)}",
        standin_hash(),
        lambda root: write_people(root, settings, people, views, report),
    )
    return read_renders(root, people, views)


def _other(renderer: str) -> str:
    """End of a name for another renderer than the default one."""
    return "" if renderer == DEFAULT_RENDERER else f" {renderer}"


def read_au(
    root: Path,
    dataset: AuDataset,
    protocol: Protocol,
    profile: Profile,
    progress: Progress | None = None,
    faults: Faults = None,
    remedy: str = "",
) -> FaceSet:
    """Read the faces of an AU dataset.

    Args:
        root: The data root.
        dataset: The dataset.
        protocol: Protocol of the dataset at the data root.
        profile: Gives the alignment of faces.
        progress: Called while label files are read.
        faults: Collects faults; the faulty part is left out. None: the first fault is raised.
        remedy: What to do if the root lacks the dataset, beside bringing it.

    Raises:
        UserError: Something is missing or wrong.
    """
    data_root(root, needs=(dataset.folder,), remedy=remedy)
    report = _named(progress, f"reading {dataset.title}")
    alignment, missing = dataset.alignment(profile.data.alignment), profile.data.missing
    faces = dataset.read(root, protocol, ReadOptions(alignment, progress=report, faults=faults, missing=missing))
    return replace(faces, dataset=dataset.name, title=dataset.title)


def read_fe(root: Path, dataset: FeDataset, profile: Profile, faults: Faults = None) -> FaceSet:
    """Read the faces of an FE dataset; arguments as for `read_au`.

    Raises:
        UserError: Something is missing or wrong.
    """
    data_root(root, needs=(dataset.folder,))
    alignment = dataset.alignment(profile.data.alignment)
    options = ReadOptions(alignment, images=profile.data.fe_images, faults=faults, missing=profile.data.missing)
    return replace(dataset.read(root, options), dataset=dataset.name, title=dataset.title)


def find_faces(
    faces: FaceSet, dataset: Dataset, profile: Profile, cache: Path, progress: Progress | None = None
) -> FaceSet:
    """Faces with the points that a detector finds, where the dataset's alignment is `detected`; else the same faces.

    Raises:
        UserError: The detector is not installed, or finds no face.
    """
    if dataset.alignment(profile.data.alignment) != "detected":
        return faces
    report = _named(progress, f"finding faces in {dataset.title}")
    return align_detected(faces, cache / "faces", continuous=dataset.kind == "au", progress=report)


def prepare_data(
    faces: tuple[FaceSet, FaceSet],
    profile: Profile,
    cache: Path,
    progress: Progress | None = None,
    *,
    check: bool = True,
) -> TrialData:
    """Pack the AU and the FE faces, unless they are packed, and compare the pixels with their digests if `check`.

    Raises:
        UserError: An image, a pack or the stand-in's ground truth is damaged, or the disk is too small.
    """
    au, fe = (pack_faces(face_set, profile, cache, progress, check=check) for face_set in faces)
    return TrialData(au, fe, known_clear(fe.faces), profile.for_result())


def pack_faces(
    faces: FaceSet, profile: Profile, cache: Path, progress: Progress | None = None, *, check: bool = True
) -> PackedFaces:
    """Pack the frames of one dataset, unless they are packed, and compare the pixels with their digests if `check`.

    Raises:
        UserError: An image or the pack is damaged, or the disk is too small.
    """
    packing, checking = (_named(progress, f"{work} {faces.dataset}") for work in ("packing", "checking the pixels of"))
    return pack(faces, profile.data.frame_size, cache / "frames", packing, check=check, checking=checking)


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
