"""Reader of DISFA in its distributed layout (Mavadati et al., IEEE Transactions on Affective Computing 2013).

Layout, from the path literals of public loaders (ME-GraphAU, JAA-Net, AU-Net, LibreFace, AU R-CNN)::

    DISFA/ActionUnit_Labels/SN001/SN001_au1.txt            lines `frame,intensity`, frames from 1, intensities 0 to 5
    DISFA/Videos_LeftCamera/LeftVideoSN001_comp.avi        or Video_..., leftVideo..., ..._Comp
    DISFA/Frames_LeftCamera/SN001/0.png                    instead of the video: its frames, extracted by a user
    DISFA/Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat   `pts`, 66 x 2, one file a frame, from 0

Label line f belongs to frame f - 1 of the video. Extracted images count from 0 in some copies and from 1 in others.
The reader infers the first number from the image names, or takes it from a setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.data.align import Align
from benchmark.data.faces import FaceSet, is_standin, standin_note
from benchmark.data.files import Missing, Rows, caught, listing, nothing_usable
from benchmark.data.footage import video_footage
from benchmark.data.places import archives, at, undoubled
from benchmark.datasets.disfa.footage import (
    check_same_start,
    find_footage,
    image_footage,
    labelled_frames,
    no_footage,
    of_subject,
)
from benchmark.datasets.disfa.labels import LABELS, read_labels
from benchmark.datasets.disfa.landmarks import LANDMARKS, Landmarks, describe_numbers, read_mat_landmarks
from benchmark.datasets.disfa.protocol import DISFA
from benchmark.datasets.disfa.settings import DisfaSettings

ACTIVE_FROM = 2
"""An AU occurs where its intensity is greater than 1 (paper §4.1)."""
JAA_BAD_FRAMES: Mapping[str, tuple[tuple[int, int], ...]] = MappingProxyType(
    {
        "SN001": ((397, 419), (3189, 3242)),
        "SN002": ((799, 825),),
        "SN004": ((4540, 4554),),
        "SN006": ((1348, 1404),),
        "SN009": ((1735, 1807), (1850, 1884)),
        "SN011": ((4528, 4532), (4829, 4844)),
        "SN021": (
            (573, 615), (984, 1163), (1189, 1204), (1304, 1337), (1664, 1709), (1861, 2476), (2553, 4656),
            (4709, 4721),
        ),
        "SN023": ((1020, 1048), (3377, 3556), (3583, 3667), (4546, 4620), (4740, 4771), (4824, 4844)),
        "SN025": ((4595, 4661), (4815, 4834)),
        "SN027": ((3460, 3493), (4737, 4784)),
        "SN028": ((1874, 1884), (4570, 4689)),
        "SN029": ((4089, 4542),),
        "SN030": ((938, 961), (1405, 1421), (2099, 2131), (2892, 2954)),
    }
)  # fmt: skip
"""First and last frame, from 0, of the ranges that the lists of JAA-Net lack (github.com/ZhiwenShao/PyTorch-JAANet,
data/list), because the face was hidden or landmark detection failed."""
JAA_CLEAN_FRAMES = 126_144
"""Number of frames in those lists: `DISFA.frames` without the ranges above."""

_LAYOUT = f"{DISFA.folder}/{LABELS}/SN001/SN001_au1.txt"
USED = 0.95
"""Minimum share of a full copy's frames that a complete copy uses; the others have no landmarks near, or no image."""

DEFAULTS = DisfaSettings()


def read_disfa(
    root: Path,
    protocol: Protocol = DISFA,
    progress: Callable[[int, int], None] | None = None,
    *,
    settings: DisfaSettings = DEFAULTS,
    alignment: Align = "as_is",
    missing: Missing = "error",
    faults: list[UserError] | None = None,
) -> FaceSet:
    """Read the labelled frames of DISFA below the data root `root`.

    Extracted images take precedence over a video of the same subject. If labels and frames differ in number, the
    shorter of both counts.

    Args:
        root: The folder that holds `DISFA/`.
        protocol: AUs to read and known subjects.
        progress: Called with (subjects read, subjects).
        settings: Camera, frames and numbers of images.
        alignment: `landmarks` also reads the landmarks in `Landmark_Points/` and leaves out frames without any near
            (A12).
        missing: Rule for labelled frames without an image.
        faults: Collects faults; a faulty subject is left out. None: the first fault is raised.

    Raises:
        UserError: A folder or a file is missing or ambiguous; a label file has a wrong line, or frames that another
            file of its subject lacks; labels and frames do not match; the numbers of images do not determine the
            first frame.
    """
    home = undoubled(root / protocol.folder)
    subjects = _subjects(home, protocol, faults)
    dropped = JAA_BAD_FRAMES if settings.frames == "jaa_clean" else {}
    videos, images = find_footage(home, settings.camera)
    rows, first_numbers, lost, labelled = Rows(), {}, 0, 0
    tracked: list[Landmarks] = []
    if alignment == "landmarks" and settings.camera != settings.landmarks_camera:
        raise UserError(
            f"the frames are of the {settings.camera} camera and the landmarks of the {settings.landmarks_camera} one",
            where=home / LANDMARKS,
            remedy="take images as they are: --set data.alignment=as_is; or say whose they are: disfa.landmarks_camera",
        )
    for done, (subject, folder) in enumerate(subjects.items()):
        with caught(faults):
            labels = read_labels(folder, subject, protocol.aus)
            bad = {i for first, last in dropped.get(subject, ()) for i in range(first, last + 1)}
            picked = of_subject(subject, images)
            if picked is not None:
                footage = image_footage(picked, labels, bad, settings)
                first_numbers[subject] = footage.first
            else:
                picked = of_subject(subject, videos)
                if picked is None:
                    raise no_footage(home, subject, settings)
                footage = video_footage(picked)
            frames = labelled_frames(labels, footage, bad, missing)
            lost += sum(frame > footage.length for frame in labels.frames)
            inside = np.isin(labels.frames, frames)
            paths = [footage.paths[frame - 1] for frame in frames]
            active = (labels.intensities[inside] >= ACTIVE_FROM).astype(np.int8)
            points = None
            if alignment == "landmarks":
                folder_of = undoubled((at(home, LANDMARKS) or home / LANDMARKS) / subject)
                tracked.append(read_mat_landmarks(folder_of, labels, footage, settings.landmark_numbers))
                points = tracked[-1].points
            kept = set(frames)
            gone = [f for f in labels.frames if f <= footage.length and f - 1 not in bad and f not in kept]
            rows.skip(subject, subject, gone)
            labelled += len(labels.frames) - len(bad & {frame - 1 for frame in labels.frames})
            rows.add(root, paths, subject, subject, frames, active, points)
        if progress is not None:
            progress(done + 1, len(subjects))
    with caught(faults):
        check_same_start(home, first_numbers)
    if not rows.frames:
        empty = UserError(
            "the label files hold no frame that can be used", where=home / LABELS, remedy=f"copy {LABELS} anew"
        )
        raise nothing_usable(faults, empty)
    source = _describe_source(first_numbers, len(subjects), videos.keys() & first_numbers.keys())
    which = "all frames" if settings.frames == "all" else "frames as in JAA-Net's lists"
    contents = f"{settings.camera} camera, {which}, {source}" + (f", {lost} labels without a frame" if lost else "")
    numbering = describe_numbers(tracked)
    contents += f"; {numbering}" if numbering else ""
    faces = rows.face_set("disfa", root, protocol.au_names)
    origin, note = _origin(faces, labelled, protocol, settings, f"{contents}; {rows.alignment}")
    return replace(faces, origin=origin, note=note)


def _subjects(home: Path, protocol: Protocol, faults: list[UserError] | None) -> dict[str, Path]:
    """Label folder of each subject, by subject."""
    coding = at(home, LABELS) or home / LABELS
    # Copies contain folders of the operating system such as .Spotlight-V100 and __MACOSX.
    folders = [p for p in sorted(coding.iterdir()) if p.is_dir() and p.name[0] not in "._"] if coding.is_dir() else []
    packed = archives(home) if not folders else []
    if packed:
        raise UserError(
            f"{packed[0].name} is not unpacked",
            where=packed[0].parent,
            expected=_LAYOUT,
            found=", ".join(p.name for p in packed[:8]) + (", ..." if len(packed) > 8 else ""),
            remedy="unpack each archive where it lies",
        )
    if not folders:
        raise UserError(
            "no AU labels",
            where=coding,
            expected=_LAYOUT,
            found=listing(home),
            remedy=f"copy {LABELS} of your DISFA there; or check that --data names the right dataset",
        )
    for folder in folders:
        if folder.name not in protocol.subjects:
            with caught(faults):
                raise UserError(
                    "a label folder of an unknown subject",
                    where=folder,
                    expected=f"one of {len(protocol.subjects)} subjects SN001-SN032",
                    found=folder.name,
                    remedy="take the folder out; DISFA+ names its folders in another way",
                )
    return {folder.name: folder for folder in folders if folder.name in protocol.subjects}


def _describe_source(first_numbers: Mapping[str, int | None], subjects: int, unread: set[str]) -> str:
    numbered = f"images that count from {max((n for n in first_numbers.values() if n is not None), default=0)}"
    beside = f" ({len(unread)} videos beside them not read)" if unread else ""
    if not first_numbers:
        return "videos"
    if len(first_numbers) == subjects:
        return numbered + beside
    return f"{numbered} of {len(first_numbers)} subjects{beside}, videos of {subjects - len(first_numbers)}"


def _origin(
    faces: FaceSet, labelled: int, protocol: Protocol, settings: DisfaSettings, contents: str
) -> tuple[Origin, str]:
    table = faces.table
    size = f"{len(table):,} frames of {table['subject'].nunique()} subjects"
    # A video has no comment: only the marker identifies its stand-in.
    if is_standin(faces.root, table[~table["path"].str.contains("#", regex=False)]):
        return "stand-in", f"{standin_note(faces.root, 'DISFA')}: {size}; {contents}"
    frames = protocol.frames if settings.frames == "all" else JAA_CLEAN_FRAMES
    whole = set(table["subject"]) == protocol.subjects and abs(labelled - frames) <= 0.005 * frames
    if whole and len(table) >= USED * frames:
        return "complete", f"DISFA: {size}; {contents}"
    full_copy = f"of {frames:,} frames of {len(protocol.subjects)}"
    return "partial", f"partial data in DISFA's layout: {size}, {full_copy}; {contents}"
