"""Data for trials: read, check and pack them, and write the stand-in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark import datasets
from benchmark.api.listener import SILENT, Listener
from benchmark.api.looks import Looked, look_at, refuse_strange
from benchmark.api.request import default_profile
from benchmark.config.profile import load_profile
from benchmark.config.protocol import Protocol
from benchmark.config.settings import Profile
from benchmark.config.trial import RENDERS
from benchmark.core.errors import UserError
from benchmark.core.places import default_cache
from benchmark.core.words import counted
from benchmark.data.check import check_au, check_fe
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Report
from benchmark.data.frames import PackedFaces, needed_bytes
from benchmark.data.trial_data import TrialData
from benchmark.datasets.base import AuDataset, Dataset
from benchmark.standin.write import write_standin_root
from benchmark.trials.expand import AuSource, Sources, StartSource
from benchmark.trials.preflight import size as in_bytes
from benchmark.trials.prepare import (
    Chosen,
    find_faces,
    pack_faces,
    prepare_data,
    read_au,
    read_fe,
    read_people,
    standin_root,
)
from methods import Registry, discover


@dataclass(frozen=True)
class LoadedData:
    """Frames and settings of a run.

    Attributes:
        profile: The settings.
        overrides: Overrides that changed the profile.
        chosen: The datasets.
        root: The data root.
        protocol: Protocol of the AU dataset at the data root.
        frames: The packed frames of both datasets.
        others: Protocol and frames of other datasets that trials start from, by name.
    """

    profile: Profile
    overrides: tuple[str, ...]
    chosen: Chosen
    root: Path
    protocol: Protocol
    frames: TrialData
    others: Mapping[str, tuple[Protocol, TrialData]] = field(default_factory=dict)

    @property
    def sources(self) -> Sources:
        """Protocols and fingerprints, from which trials get their keys."""
        start, settings = self.chosen.start, self.chosen.au.start
        begun = None
        if start is not None and settings is not None:
            protocol, frames = self.others[start.name]
            begun = StartSource(AuSource(protocol, frames.fingerprints), settings.settings)
        renders = self.others[RENDERS][1].fe.fingerprint if RENDERS in self.others else ""
        return Sources(AuSource(self.protocol, self.frames.fingerprints), begun, renders)

    @property
    def test_frames(self) -> dict[str, int]:
        """Number of test frames of each part."""
        subjects = self.frames.au.faces.table["subject"]
        return {part: int(subjects.isin(tested).sum()) for part, tested in self.protocol.parts.items()}


def load_data(
    dataset: str = "bp4d",
    *,
    profile: str | Profile = "",
    overrides: Sequence[str] = (),
    root: Path | str | None = None,
    cache: Path | None = None,
    allow_incomplete: bool = False,
    check_pixels: bool = True,
    registry: Registry | None = None,
    listener: Listener = SILENT,
) -> LoadedData:
    """Read, check and pack the frames of an AU dataset and of the profile's FE dataset.

    Args:
        dataset: Name of the AU dataset.
        profile: A profile of the suite, the path of a TOML file, or a loaded profile; "" for `standin` without a root,
            else `paper`.
        overrides: Changes to the profile, `KEY=VALUE` each; for a loaded profile, those that it already includes.
        root: The data root; None: the stand-in, drawn into the cache the first time.
        cache: Folder of packed frames and stand-ins.
        allow_incomplete: Use data that fail the check; the note of the data says so.
        check_pixels: Compare packed frames with their digests; if not, results say so.
        registry: All methods; None for those of the suite.
        listener: Receives progress.

    Returns:
        The packed frames, with protocol and settings.

    Raises:
        UserError: A wrong name or setting; data are missing, damaged or incomplete; the disk is too small.

    Example:
        >>> from benchmark import api
        >>> data = api.load_data("bp4d", profile="smoke")  # doctest: +SKIP
        >>> data.protocol.au_names[:2]  # doctest: +SKIP
        ('AU1', 'AU2')
    """
    root = None if root is None else Path(root)
    settings, changed = (
        (profile, tuple(overrides))
        if isinstance(profile, Profile)
        else load_profile(profile or default_profile(root), list(overrides))
    )
    cache = cache or default_cache()
    chosen = Chosen.open(dataset, settings)
    if root is None:
        root = standin_root(cache, settings, chosen.all, listener.progress)
        listener.note(
            "No data root was given: running on the STAND-IN (procedural faces, no licensed image). Its results say "
            "nothing about the paper's numbers, and every output says stand-in."
        )
        listener.note(f"stand-in, renderer {settings.standin.renderer}: {root}")
    protocol = chosen.au.protocol_at(root)
    faces = read_au(root, chosen.au, protocol, settings, listener.progress), read_fe(root, chosen.fe, settings)
    start, start_protocol = None, None
    if chosen.start is not None:
        start_protocol = chosen.start.protocol_at(root)
        remedy = chosen.without_start
        start = read_au(root, chosen.start, start_protocol, settings, listener.progress, remedy=remedy)
    people = read_people(cache, settings, registry or discover(), listener.progress)
    of_au, of_fe = check_au(faces[0], chosen.au, protocol), check_fe(faces[1], chosen.fe)
    if not allow_incomplete:
        _refuse_faults(of_au + of_fe, root, dataset)
    au, fe = _noted(faces[0], of_au), _noted(faces[1], of_fe)
    if chosen.start is not None and start is not None and start_protocol is not None:
        of_start = check_au(start, chosen.start, start_protocol)
        if not allow_incomplete:
            _refuse_faults(of_start, root, chosen.start.name)
        start = _noted(start, of_start)
    au = find_faces(au, chosen.au, settings, cache, listener.progress)
    fe = find_faces(fe, chosen.fe, settings, cache, listener.progress)
    if chosen.start is not None and start is not None:
        start = find_faces(start, chosen.start, settings, cache, listener.progress)
    used = [face_set for face_set in (au, fe, start, people) if face_set is not None]
    for face_set in used:
        listener.note(face_set.note)
    for sentence in packing_notes(used, settings, cache):
        listener.note(sentence)
    frames = prepare_data((au, fe), settings, cache, listener.progress, check=check_pixels)
    frames = replace(
        frames,
        au=refuse_strange(
            look_at(frames.au, cache, listener, tracked=chosen.au.tracked), allow_incomplete=allow_incomplete
        ),
        fe=refuse_strange(look_at(frames.fe, cache, listener), allow_incomplete=allow_incomplete),
    )
    others: dict[str, tuple[Protocol, TrialData]] = {}
    if chosen.start is not None and start is not None and start_protocol is not None and chosen.au.start is not None:
        subjects = [s for part in chosen.au.start.settings.parts for s in start_protocol.parts[part]]
        packed_start = pack_faces(start, settings, cache, listener.progress, check=check_pixels)
        whole = look_at(packed_start, cache, listener, tracked=chosen.start.tracked)
        packed: PackedFaces = refuse_strange(whole, allow_incomplete=allow_incomplete).of_subjects(subjects)
        others[start.dataset] = (start_protocol, replace(frames, au=packed))
    if people is not None:  # the pre-training on rendered people uses no AU frame
        packed_people = pack_faces(people, settings, cache, listener.progress, check=check_pixels)
        others[people.dataset] = (protocol, replace(frames, fe=packed_people, fe_clear=None))
    listener.note(_pixel_note([frames, *(data for _, data in others.values())]))
    protocol = chosen.protocol_at(root, set(frames.au.faces.table["subject"]))
    return LoadedData(settings, changed, chosen, root, protocol, frames, others)


def packing_notes(faces: Sequence[FaceSet], profile: Profile, cache: Path) -> list[str]:
    """One sentence per dataset that is not packed yet: number of frames and disk space.

    Args:
        faces: Faces of the datasets.
        profile: Gives the size of packed frames.
        cache: Folder of packed frames.
    """
    size, folder = profile.data.frame_size, cache / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    notes = []
    for face_set in faces:
        needed = needed_bytes(face_set, size, folder)
        if needed:
            free = shutil.disk_usage(folder).free
            notes.append(
                f"packing {face_set.dataset}: {len(face_set):,} frames of {size} px, {in_bytes(needed)} in"
                f" {folder} ({in_bytes(free)} free)"
            )
    return notes


def _pixel_note(used: Sequence[TrialData]) -> str:
    """One sentence: how many packed frames were compared with their digests, and how long it took."""
    packs = {id(packed): packed for data in used for packed in (data.au, data.fe)}.values()
    if any(packed.unchecked for packed in packs):
        return "packed frames were not compared with their digests, and the results say so"
    count, seconds = sum(len(packed.faces) for packed in packs), sum(packed.check_s for packed in packs)
    return f"all {count:,} packed frames are as they were packed, by their digests ({seconds:.1f} s)"


def pack_data(
    dataset: str,
    root: Path,
    *,
    profile: str = "paper",
    overrides: Sequence[str] = (),
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> tuple[Looked, ...]:
    """Pack the frames at a data root, so that no trial has to decode an image, and look at all of them.

    The outcome of the data check is a note, so that a copy with faults can be packed meanwhile.

    Args:
        dataset: Name of the AU dataset.
        root: The data root.
        profile: A profile of the suite or a TOML file.
        overrides: Changes to the profile, `KEY=VALUE` each.
        cache: Folder of packed frames.
        listener: Receives progress.

    Returns:
        The packed frames of the AU dataset, the FE dataset and the dataset that backbones start from, with their looks.

    Raises:
        UserError: A wrong name or setting; a file is missing or damaged; the disk is too small.

    Example:
        >>> from pathlib import Path
        >>> looks = pack_data("bp4d", Path("data"))  # doctest: +SKIP
    """
    settings, _ = load_profile(profile, list(overrides))
    cache = cache or default_cache()
    chosen = Chosen.open(dataset, settings)
    checked: list[tuple[Dataset, FaceSet, Report]] = []
    for dataset_of_au in (chosen.au, *(() if chosen.start is None else (chosen.start,))):
        protocol = dataset_of_au.protocol_at(root)
        remedy = "" if dataset_of_au is chosen.au else chosen.without_start
        faces = read_au(root, dataset_of_au, protocol, settings, listener.progress, remedy=remedy)
        checked.append((dataset_of_au, faces, check_au(faces, dataset_of_au, protocol)))
    fe = read_fe(root, chosen.fe, settings)
    checked.append((chosen.fe, fe, check_fe(fe, chosen.fe)))
    _tell_faults(chosen, checked, listener)
    ready = [find_faces(faces, known, settings, cache, listener.progress) for known, faces, _ in checked]
    for sentence in packing_notes(ready, settings, cache):
        listener.note(sentence)
    packs = [pack_faces(face_set, settings, cache, listener.progress) for face_set in ready]
    tracked = [isinstance(known, AuDataset) and known.tracked for known, _, _ in checked]
    return tuple(look_at(pack, cache, listener, tracked=has) for pack, has in zip(packs, tracked, strict=True))


def _tell_faults(chosen: Chosen, checked: Sequence[tuple[Dataset, FaceSet, Report]], listener: Listener) -> None:
    """Note the number of faults that each check of these datasets lists."""
    # A check reads the AU and the FE dataset; the dataset that backbones start from has a check of its own.
    own = sum((report for known, _, report in checked if known is not chosen.start), Report())
    begun = sum((report for known, _, report in checked if known is chosen.start), Report())
    for name, report in ((chosen.au.name, own), (chosen.start.name if chosen.start else "", begun)):
        number = len(report.grouped.faults)
        if number:
            stop = "stops" if number == 1 else "stop"
            listener.note(f"{counted(number, 'fault')} in `malbench data check {name}`, which {stop} a run")


def write_standin(
    dataset: str,
    out: Path | str,
    *,
    profile: str = "standin",
    overrides: Sequence[str] = (),
    listener: Listener = SILENT,
) -> None:
    """Write the stand-in of a dataset, and of the other datasets of its trials, as a data root.

    Args:
        dataset: Name of an AU dataset.
        out: A folder that does not exist yet, or is empty.
        profile: Gives the size, the dials and the FE dataset.
        overrides: Changes to the profile, `KEY=VALUE` each.
        listener: Receives progress.

    Raises:
        UserError: A wrong name or setting, or `out` is not empty.

    Example:
        >>> from benchmark import api
        >>> api.write_standin("bp4d", "standin", profile="smoke")  # doctest: +SKIP
    """
    settings, _ = load_profile(profile, list(overrides))
    datasets.check_settings(settings)
    write_standin_root(
        Path(out),
        Chosen.open(dataset, settings).all,
        settings.standin,
        lambda done, total: listener.progress("drawing stand-in faces", done, total),
    )


def _refuse_faults(report: Report, root: Path, dataset: str) -> None:
    """Refuse data that fail their check.

    Raises:
        UserError: They do; it has the number of faults that `malbench data check` lists, and the first of them.
    """
    faults = report.grouped.faults
    if faults:
        raise UserError(
            f"the data are incomplete: {counted(len(faults), 'fault')}, the first: {faults[0].what}",
            where=root,
            remedy=f"`malbench data check {dataset}` lists all; --allow-incomplete runs on what is there, and the "
            "report says so",
        )


def _noted(faces: FaceSet, outcome: Report) -> FaceSet:
    """Faces with the outcome of their check in their note."""
    faults = outcome.grouped.faults
    if not faults:
        return faces
    note = (
        f"{faces.note}; run with --allow-incomplete: {counted(len(faults), 'fault')} of the data check, "
        f"the first: {faults[0].what}"
    )
    # A copy with a fault is not the dataset that verdicts are about.
    return replace(faces, note=note, origin="partial" if faces.origin == "complete" else faces.origin)
