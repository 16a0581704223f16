"""Checks of a data root against what is known of full copies, with the true cause where nothing can be read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmark.api.commands import Commands, doctor
from benchmark.api.doctor import AS_IS, diagnose
from benchmark.api.listener import SILENT, Listener
from benchmark.config.profile import load_profile
from benchmark.config.settings import Profile
from benchmark.core.errors import UserError, wrong_path
from benchmark.core.places import default_cache
from benchmark.data.check import check_au, check_fe
from benchmark.data.deep import check_bytes
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, Report, of_error
from benchmark.data.motion import REMEDY, find_shift
from benchmark.data.places import root_near
from benchmark.trials.prepare import Chosen, read_au, read_fe


@dataclass(frozen=True)
class CheckedData:
    """Outcome of a check of data.

    Attributes:
        report: Lines and findings; those of one kind are one finding.
        faces: The AU and the FE faces that could be read.
        steps: Commands to do next.
    """

    report: Report
    faces: tuple[FaceSet, ...]
    steps: tuple[str, ...] = ()


def check_data(
    dataset: str,
    root: Path,
    *,
    profile: str = "paper",
    overrides: Sequence[str] = (),
    deep: bool = False,
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> CheckedData:
    """Compare the files at a data root with the known contents of full copies.

    Labels, file names and landmarks are read, the headers of some images, and some moving frames; all images are, if
    `deep` is set.

    Args:
        dataset: Name of the AU dataset.
        root: The data root.
        profile: A profile of the suite or a TOML file.
        overrides: Changes to the profile, `KEY=VALUE` each.
        deep: Hash every image and video as well, and compare it with the one that its frames were packed from.
        cache: Folder of packed frames.
        listener: Receives progress.

    Returns:
        The report of the check, the faces, and the commands to do next.

    Raises:
        UserError: A name or a setting is wrong, or there is no such folder. What is wrong with the data is a finding.

    Example:
        >>> from pathlib import Path
        >>> from benchmark import api
        >>> checked = api.check_data("bp4d", Path("data"))  # doctest: +SKIP
        >>> checked.report.faults  # doctest: +SKIP
        []
    """
    if not root.is_dir():
        raise wrong_path(root, "folder", remedy="name the folder that holds your data with --data")
    settings, _ = load_profile(profile, list(overrides))
    chosen = Chosen.open(dataset, settings)
    of_au: list[UserError] = []
    of_fe: list[UserError] = []
    unaligned = False

    def read_and_check_au() -> tuple[FaceSet | None, Report]:
        nonlocal unaligned
        protocol = chosen.au.protocol_at(root)
        try:
            faces = read_au(root, chosen.au, protocol, settings, listener.progress, of_au)
        except UserError as error:
            faces = _read_unaligned(root, chosen, settings, error, listener)
            unaligned = True
            return None, check_au(faces, chosen.au, protocol, [error])
        report = check_au(faces, chosen.au, protocol, of_au)
        return faces, report + Report((), _shift(faces) if chosen.au.tracked else ())

    def read_and_check_fe() -> tuple[FaceSet, Report]:
        faces = read_fe(root, chosen.fe, settings, of_fe)
        return faces, check_fe(faces, chosen.fe, of_fe)

    parts = [_attempt(read_and_check_au), _attempt(read_and_check_fe)]
    report = sum((part for _, part in parts), Report())
    faces = tuple(face_set for face_set, _ in parts if face_set is not None)
    for face_set in faces if deep else ():
        progress = partial(listener.progress, f"hashing {face_set.dataset}")
        report += check_bytes(face_set, settings.data.frame_size, (cache or default_cache()) / "frames", progress)
    report = report.grouped
    if len(faces) < 2:
        report += Report((), tuple(_recognised(root, chosen, report)))
    commands = Commands(dataset, root, profile, tuple(overrides))
    whole = parts[1][0] is not None and not of_fe and (unaligned or (parts[0][0] is not None and not of_au))
    usable = commands.having(*([AS_IS] if unaligned else [])) if whole else None
    return CheckedData(report, faces, _steps(commands, report, usable, chosen.au.folder))


def _read_unaligned(root: Path, chosen: Chosen, settings: Profile, error: UserError, listener: Listener) -> FaceSet:
    """Faces without the landmarks that could not be read, so that everything else is checked.

    Raises:
        UserError: `error`, if landmarks are not its cause.
    """
    if chosen.au.alignment(settings.data.alignment) != "landmarks":
        raise error
    plain = settings.model_copy(update={"data": settings.data.model_copy(update={"alignment": "as_is"})})
    try:
        return read_au(root, chosen.au, chosen.au.protocol_at(root), plain, listener.progress)
    except UserError:
        raise error from None


def _shift(faces: FaceSet) -> tuple[Finding, ...]:
    """Finding on images that are a frame off their landmarks; none for a stand-in."""
    shift = None if faces.origin == "stand-in" else find_shift(faces)
    if shift is None:
        return ()
    return (Finding(shift.sentence(), where=str(faces.root / shift.example), remedy=REMEDY),)


def _attempt(check: Callable[[], tuple[FaceSet | None, Report]]) -> tuple[FaceSet | None, Report]:
    """Outcome of a check; where nothing can be read, the cause is the finding."""
    try:
        return check()
    except UserError as error:
        return None, Report((), (of_error(error),))


def _recognised(root: Path, chosen: Chosen, report: Report) -> Iterator[Finding]:
    """Remarks that name what the folder holds instead, in the nearest layout that is recognised.

    A dataset that lies where it is looked for has none, nor has one whose fault or place is told already.
    """
    told = {text for finding in report.findings for text in (finding.what, *finding.remedy.split("; "))}
    wanted = {chosen.au.name, chosen.fe.name}
    for found in diagnose(root):
        seen, fault = found.sighting, found.sighting.fault
        right = f"name it: --data {shlex.quote(str(found.root))}"
        in_place = seen.folder == root / seen.place
        known = right in told if fault is None else fault.what in told
        if found.within or known or (found.name in wanted and in_place and (fault is None or not seen.parts)):
            continue
        steps = found.steps[0] if found.steps else right
        yield Finding(
            f"recognised: {seen.title} in {seen.folder}",
            where=str(seen.folder),
            found="; ".join([seen.layout, *seen.parts]) if fault is None else "; ".join(seen.parts),
            remedy=steps if fault is None else fault.remedy or steps,
            severity="remark",
        )


def _steps(commands: Commands, report: Report, usable: Commands | None, folder: str) -> tuple[str, ...]:
    """Commands to do next.

    Args:
        commands: Commands with what the user named.
        report: Outcome of the check.
        usable: Commands that run on data with faults; None if some of the data cannot be read.
        folder: Folder of the AU dataset.
    """
    if not report.faults:
        return commands.prepare, commands.run, "malbench report"
    right = None if (commands.root / folder).is_dir() else root_near(commands.root, folder)
    if right is not None:
        return (replace(commands, root=right).check,)
    steps = (doctor(commands.root), f"{commands.check}   # again, after the first fault is mended")
    return steps if usable is None else (*steps, *usable.trial, usable.run_incomplete)
