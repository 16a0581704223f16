"""Checks of a data root against what is known of full copies, with the true cause where nothing can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark.api.doctor import diagnose, next_steps
from benchmark.api.listener import SILENT, Listener
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.core.places import default_cache
from benchmark.data.check import check_au, check_fe
from benchmark.data.deep import check_bytes
from benchmark.data.faces import FaceSet
from benchmark.data.findings import Finding, Report, grouped, of_error
from benchmark.data.motion import REMEDY, find_shift
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
        UserError: A name or a setting is wrong. What is wrong with the data is a finding.

    Example:
        >>> from pathlib import Path
        >>> from benchmark import api
        >>> checked = api.check_data("bp4d", Path("data"))  # doctest: +SKIP
        >>> checked.report.faults  # doctest: +SKIP
        []
    """
    settings, _ = load_profile(profile, list(overrides))
    chosen = Chosen.open(dataset, settings)
    of_au: list[UserError] = []
    of_fe: list[UserError] = []

    def read_and_check_au() -> tuple[FaceSet, Report]:
        protocol = chosen.au.protocol_at(root)
        faces = read_au(root, chosen.au, protocol, settings, listener.progress, of_au)
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
    report = Report(report.lines, (*grouped(report.findings), *(() if len(faces) == 2 else _recognised(root))))
    return CheckedData(report, faces, _steps(dataset, root, report))


def _shift(faces: FaceSet) -> tuple[Finding, ...]:
    """Finding on images that are a frame off their landmarks; none for a stand-in."""
    shift = None if faces.origin == "stand-in" else find_shift(faces)
    if shift is None:
        return ()
    return (Finding(shift.sentence(), where=str(faces.root / shift.example), remedy=REMEDY),)


def _attempt(check: Callable[[], tuple[FaceSet, Report]]) -> tuple[FaceSet | None, Report]:
    """Outcome of a check; where nothing can be read, the cause is the finding."""
    try:
        return check()
    except UserError as error:
        return None, Report((), (of_error(error),))


def _recognised(root: Path) -> list[Finding]:
    """Remarks that name what the folder holds instead, in the nearest layout that is recognised."""
    try:
        found = diagnose(root)
    except UserError:
        return []
    return [
        Finding(
            f"recognised: {seen.sighting.title} in {seen.sighting.folder}",
            where=str(seen.sighting.folder),
            found=f"{seen.sighting.layout}; {'; '.join(seen.sighting.parts)}",
            remedy=seen.sighting.fault.remedy or "" if seen.sighting.fault is not None else seen.steps[0],
            severity="remark",
        )
        for seen in found
    ]


def _steps(dataset: str, root: Path, report: Report) -> tuple[str, ...]:
    check, prepare, run = next_steps(dataset, root)
    if report.faults:
        return (f"malbench data doctor {root}", f"{check}   # again, after the first fault is mended", prepare)
    return prepare, run, "malbench report"
