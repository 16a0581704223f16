"""From a data root, or the stand-in, to the packed frames that trials run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock

from benchmark.config.profile import Profile
from benchmark.config.protocol import BP4D, DISFA, GFT, Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import MARKER, FaceSet, data_root
from benchmark.data.frames import PackedFaces, pack
from benchmark.data.known import known_clear
from benchmark.datasets.bp4d.reader import read_bp4d
from benchmark.datasets.disfa.reader import read_disfa
from benchmark.datasets.gft.reader import gft_protocol, read_gft
from benchmark.datasets.rafdb.reader import FOLDER as RAFDB_FOLDER
from benchmark.datasets.rafdb.reader import read_rafdb
from benchmark.standin.people import RENDERS, read_renders
from benchmark.standin.write import StandinSettings, write_people, write_standin
from benchmark.trials.provenance import standin_hash
from benchmark.trials.trainer import TrialData
from benchmark.trials.trial import PRETRAINING, method_hparams
from methods import Registry
from methods.identity import Identity

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how much of it is done, how much there is)."""

Faults = list[UserError] | None
Read = Callable[[Path, Protocol, Profile, Callable[[int, int], None] | None, Faults], FaceSet]

READERS: Mapping[str, Read] = {
    "bp4d": lambda root, protocol, profile, progress, faults: read_bp4d(
        root, protocol, progress, alignment=profile.data.alignment, faults=faults
    ),
    "disfa": lambda root, protocol, profile, progress, faults: read_disfa(
        root, protocol, progress, settings=profile.disfa, alignment=profile.data.alignment, faults=faults
    ),
    "gft": lambda root, protocol, profile, progress, faults: read_gft(
        root, protocol, progress, settings=profile.gft, faults=faults
    ),
}
"""Reader of each AU dataset."""


def protocol_at(root: Path, protocol: Protocol, profile: Profile) -> Protocol:
    """The protocol as a data root has it: GFT's split is its owner's.

    Raises:
        UserError: There is no split, or it is wrong.
    """
    return gft_protocol(root, protocol, profile.gft) if protocol.dataset == GFT.dataset else protocol


def start_protocol(protocol: Protocol, profile: Profile) -> Protocol | None:
    """The dataset on which the model is trained that this one's backbones start from (§4.1.1, A14); None for none."""
    return BP4D if protocol.dataset == DISFA.dataset and profile.disfa_start.method else None


def standin_root(
    cache: Path, settings: StandinSettings, dataset: str = BP4D.dataset, progress: Progress | None = None
) -> Path:
    """The stand-in with these settings, drawn by the present code, written into the cache the first time."""
    told = _named(progress, "drawing stand-in faces")
    return _drawn(
        cache,
        f"{settings.model_dump_json()} {dataset}",
        lambda root: write_standin(root, settings, told, dataset=dataset),
    )


def _drawn(cache: Path, name: str, write: Callable[[Path], None]) -> Path:
    """The folder below the cache that the present code draws under a name, written the first time."""
    digest = blake2b(f"{name} {standin_hash()}".encode(), digest_size=6).hexdigest()
    root = cache / "standin" / digest
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{digest}.lock"):
        if not (root / MARKER).is_file():
            write(root)
    return root


def starts_from_renders(profile: Profile) -> bool:
    """Whether backbones, or those of one method, are pre-trained on renders."""
    return any(each.get("weights") == RENDERS for each in (profile.method, *profile.methods.values()))


def read_people(cache: Path, profile: Profile, registry: Registry, progress: Progress | None = None) -> FaceSet | None:
    """The renders that backbones are pre-trained on, drawn the first time; None where they start from other weights.

    Raises:
        UserError: A setting is wrong, or they cannot be written.
    """
    if not starts_from_renders(profile):
        return None
    hparams, settings = method_hparams(profile, PRETRAINING, registry), profile.standin
    assert isinstance(hparams, Identity.HParams)
    people, views = hparams.identities, hparams.views
    told = _named(progress, "drawing people without AUs")
    root = _drawn(
        cache,
        f"{RENDERS} {settings.size} {settings.seed} {people} {views}",
        lambda root: write_people(root, settings, people, views, told),
    )
    return read_renders(root, people, views)


def read_data(
    root: Path, protocol: Protocol, profile: Profile, progress: Progress | None = None, faults: Faults = None
) -> tuple[FaceSet, FaceSet]:
    """The AU faces of a dataset and the FE faces of RAF-DB, read from their official layouts.

    `faults` takes what is wrong with a part of them, which is then left out; None: that is an error.

    Raises:
        UserError: Something is missing or wrong in either.
    """
    data_root(root, needs=(protocol.folder, RAFDB_FOLDER))
    return read_au(root, protocol, profile, progress, faults), read_fe(root, profile, faults)


def read_fe(root: Path, profile: Profile, faults: Faults = None) -> FaceSet:
    """Read the FE faces of RAF-DB.

    Raises:
        UserError: Something is missing or wrong.
    """
    data_root(root, needs=(RAFDB_FOLDER,))
    return read_rafdb(
        root, profile.data.fe_images, settings=profile.rafdb, alignment=profile.data.alignment, faults=faults
    )


def read_au(
    root: Path, protocol: Protocol, profile: Profile, progress: Progress | None = None, faults: Faults = None
) -> FaceSet:
    """Read the faces of an AU dataset alone.

    Raises:
        UserError: Something is missing or wrong.
    """
    data_root(root, needs=(protocol.folder,))
    return READERS[protocol.dataset](root, protocol, profile, _named(progress, f"reading {protocol.folder}"), faults)


def prepare_data(
    faces: tuple[FaceSet, FaceSet], profile: Profile, cache: Path, progress: Progress | None = None
) -> TrialData:
    """Pack both, once.

    Raises:
        UserError: An image or the stand-in's ground truth is damaged, or the disk is too small.
    """
    au, fe = (pack_faces(each, profile, cache, progress) for each in faces)
    return TrialData(au, fe, known_clear(fe.faces))


def pack_faces(faces: FaceSet, profile: Profile, cache: Path, progress: Progress | None = None) -> PackedFaces:
    """Pack the frames of one dataset, once.

    Raises:
        UserError: An image is damaged, or the disk is too small.
    """
    return pack(faces, profile.data.frame_size, cache / "frames", _named(progress, f"packing {faces.dataset}"))


def fingerprints(data: TrialData) -> tuple[str, str]:
    """Of the AU and the FE frames."""
    return data.au.fingerprint, data.fe.fingerprint


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
