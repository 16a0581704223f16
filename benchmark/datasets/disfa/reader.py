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

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.core.origin import Origin
from benchmark.data.align import Align, Points, believed, points_of
from benchmark.data.faces import FaceSet, is_standin
from benchmark.data.files import Rows, caught, listing
from benchmark.datasets.base import DatasetSettings
from benchmark.datasets.disfa.protocol import DISFA

LABELS = "ActionUnit_Labels"
LANDMARKS = "Landmark_Points"
EYES_OF_66, MOUTH_OF_66 = (slice(36, 42), slice(42, 48)), (48, 54)
"""Indices of the eyes and of the corners of the mouth in the 66 points, from the two lines of
dataset/DISFA_combine_1_2_66land.txt of PyTorch-JAANet."""
ACTIVE_FROM = 2
"""An AU occurs where its intensity is greater than 1 (paper §4.1)."""
MOST_SURPLUS = 15
"""Maximum difference between the numbers of labels and of frames of a subject. Decoders return 4844, 4845 or 4854
frames for videos with 4845 labels."""

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

_LABEL_NAME = r"{}_au0*(?P<au>\d+)\.txt"
_LABEL_LINE = re.compile(r"(?P<frame>\d+)\s*,\s*(?P<intensity>\d+)", re.ASCII)
_LANDMARK_NAME = re.compile(r".*?(?P<number>\d+)(?:_lm)?\.mat", re.IGNORECASE | re.ASCII)
_IMAGE_NAME = re.compile(r"0*(?P<number>\d+)\.(?:png|jpe?g)", re.IGNORECASE | re.ASCII)
_LAYOUT = f"{DISFA.folder}/{LABELS}/SN001/SN001_au1.txt"
_AGAIN = "copy this file from your DISFA anew"


class DisfaSettings(DatasetSettings):
    """Choices that the paper or the files of a copy leave open about DISFA."""

    camera: Literal["left", "right"] = "left"
    """Camera whose frames are read; both cameras have the same labels."""
    frames: Literal["all", "jaa_clean"] = "all"
    """All labelled frames, or only those in JAA-Net's lists, which lack 4,670 frames with a hidden face."""
    image_numbers: Literal["auto", "from_0", "from_1"] = "auto"
    """Number of the first frame in the names of extracted images. `auto`: inferred from the names, or an error."""

    landmarks_camera: Literal["left", "right"] = "left"
    """Camera of the landmarks; no publication states it."""


DEFAULTS = DisfaSettings()


def read_disfa(
    root: Path,
    protocol: Protocol = DISFA,
    progress: Callable[[int, int], None] | None = None,
    *,
    settings: DisfaSettings = DEFAULTS,
    alignment: Align = "as_is",
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
        faults: Collects faults; a faulty subject is left out. None: the first fault is raised.

    Raises:
        UserError: A folder or a file is missing or ambiguous; a label file has a wrong line, or frames that another
            file of its subject lacks; labels and frames do not match; the numbers of images do not determine the
            first frame.
    """
    home = root / protocol.folder
    subjects = _subjects(home, protocol, faults)
    dropped = JAA_BAD_FRAMES if settings.frames == "jaa_clean" else {}
    videos, images = _find_footage(home, settings.camera)
    rows, first_numbers, lost = Rows(), {}, 0
    if alignment == "landmarks" and settings.camera != settings.landmarks_camera:
        raise UserError(
            f"the frames are of the {settings.camera} camera and the landmarks of the {settings.landmarks_camera} one",
            where=home / LANDMARKS,
            remedy="take images as they are: data.alignment=as_is; or say whose they are: disfa.landmarks_camera",
        )
    for done, (subject, folder) in enumerate(subjects.items()):
        with caught(faults):
            labels = read_labels(folder, subject, protocol.aus)
            bad = {i for first, last in dropped.get(subject, ()) for i in range(first, last + 1)}
            picked = _of_subject(subject, images)
            if picked is not None:
                footage = _images_of(picked, labels, bad, settings)
                first_numbers[subject] = footage.first
            else:
                picked = _of_subject(subject, videos)
                if picked is None:
                    raise _no_footage(home, subject, settings)
                footage = _video_of(picked)
            frames = _labelled_frames(labels, footage, bad)
            lost += sum(frame > footage.length for frame in labels.frames)
            inside = np.isin(labels.frames, frames)
            paths = [footage.paths[frame - 1] for frame in frames]
            active = (labels.intensities[inside] >= ACTIVE_FROM).astype(np.int8)
            points = None if alignment == "as_is" else read_mat_landmarks(home / LANDMARKS / subject, labels)
            rows.add(root, paths, subject, subject, frames, active, points)
        if progress is not None:
            progress(done + 1, len(subjects))
    with caught(faults):
        _check_same_start(home, first_numbers)
    if not rows.frames:
        raise UserError(
            "the label files hold no frame that can be used", where=home / LABELS, remedy=f"copy {LABELS} anew"
        )
    source = _describe_source(first_numbers, len(subjects), videos.keys() & first_numbers.keys())
    which = "all frames" if settings.frames == "all" else "frames as in JAA-Net's lists"
    contents = f"{settings.camera} camera, {which}, {source}" + (f", {lost} labels without a frame" if lost else "")
    faces = rows.face_set("disfa", root, protocol.au_names)
    origin, note = _origin(faces, rows, protocol, settings, contents)
    return replace(faces, origin=origin, note=note)


@dataclass(frozen=True)
class Labels:
    """Labels of one subject with F frames and J AUs.

    Attributes:
        file: Label file of the first AU; all files of a subject list the same frames.
        frames: F frame numbers from 1, in ascending order.
        lines: Line numbers of the frames in `file`.
        intensities: (F, J), 0 to 5, AUs in the requested order.
    """

    file: Path
    frames: list[int]
    lines: list[int]
    intensities: npt.NDArray[np.int8]


def read_labels(folder: Path, subject: str, aus: tuple[int, ...]) -> Labels:
    """Read the label files of a subject. The number in a file's name identifies its AU, not the file's position.

    Raises:
        UserError: An AU has no file or several; a line is wrong; the files do not list the same frames.
    """
    pattern = re.compile(_LABEL_NAME.format(subject), re.IGNORECASE | re.ASCII)
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is not None:
            files.setdefault(int(match["au"]), []).append(path)
    missing = [f"AU{au}" for au in aus if au not in files]
    if missing:
        raise UserError(
            f"{subject} lacks label files",
            where=folder,
            expected=f"{subject}_auK.txt for each K of {', '.join(map(str, aus))}",
            found=f"none for {', '.join(missing)}",
            remedy=f"copy {LABELS}/{subject} from your DISFA anew",
        )
    chosen = [_only(files[au], f"label files of AU{au} of {subject}") for au in aus]
    columns = [_read_file(file) for file in chosen]
    for file, column in zip(chosen[1:], columns[1:], strict=True):
        _check_same_frames(chosen[0], columns[0], file, column)
    frames = sorted(columns[0])
    table = [[column[frame][1] for column in columns] for frame in frames]
    intensities = np.array(table, dtype=np.int8).reshape(len(frames), len(aus))
    return Labels(chosen[0], frames, [columns[0][frame][0] for frame in frames], intensities)


def _read_file(file: Path) -> dict[int, tuple[int, int]]:
    """Line number and intensity of each frame in one label file."""
    by_frame: dict[int, tuple[int, int]] = {}
    for line, text in enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        if not text.strip():
            continue
        match = _LABEL_LINE.fullmatch(text.strip())
        frame, intensity = (int(match["frame"]), int(match["intensity"])) if match else (0, 0)
        if match is None or intensity > 5:
            what, expected = "a wrong line in a label file", "frame,intensity with a whole intensity from 0 to 5"
        elif frame == 0 or frame in by_frame:
            what, expected = "a wrong frame number in a label file", "frames from 1 up, each in one line"
        else:
            by_frame[frame] = (line, intensity)
            continue
        raise UserError(what, where=file, line=line, expected=expected, found=text.strip()[:80], remedy=_AGAIN)
    return by_frame


def _check_same_frames(
    one: Path, frames: Mapping[int, tuple[int, int]], other: Path, others: Mapping[int, tuple[int, int]]
) -> None:
    if frames.keys() == others.keys():
        return
    frame = min(frames.keys() ^ others.keys())
    # The error points to the file that has the frame.
    (there, line), lacks = ((one, frames[frame][0]), other) if frame in frames else ((other, others[frame][0]), one)
    raise UserError(
        "two label files of a subject list different frames",
        where=there,
        line=line,
        expected=f"a line for frame {frame} in {lacks.name}, too",
        found=f"{len(frames)} frames in {one.name}, {len(others)} in {other.name}",
        remedy="copy both files from your DISFA anew",
    )


def _subjects(home: Path, protocol: Protocol, faults: list[UserError] | None) -> dict[str, Path]:
    """Label folder of each subject, by subject."""
    coding = home / LABELS
    # Copies contain folders of the operating system such as .Spotlight-V100 and __MACOSX.
    folders = [p for p in sorted(coding.iterdir()) if p.is_dir() and p.name[0] not in "._"] if coding.is_dir() else []
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


@dataclass(frozen=True)
class _Footage:
    """Frames of one subject, from a video or from extracted images.

    Attributes:
        where: Video or folder of images.
        length: Index of the last frame, plus 1.
        paths: Path of each frame, by index from 0; `video.avi#K` in a video.
        first: Number in the name of the first frame's image; None for a video.
    """

    where: Path
    length: int
    paths: Mapping[int, Path]
    first: int | None


def _find_footage(home: Path, camera: str) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Videos and image folders of each subject: lists, because a copy can hold one of them in two spellings."""
    videos: dict[str, list[Path]] = {}
    images: dict[str, list[Path]] = {}
    subject = r"(?P<subject>SN\d{3})"
    for path in _inside(home, rf"videos?_{camera}camera", rf"{camera}video{subject}(?:_comp)?\.avi"):
        videos.setdefault(path.name.upper()[len(f"{camera}video") :][:5], []).append(path)
    for path in _inside(home, rf"frames(?:_{camera}camera)?" if camera == "left" else "frames_rightcamera", subject):
        if path.is_dir() and any(_IMAGE_NAME.fullmatch(image.name) for image in path.iterdir()):
            images.setdefault(path.name.upper(), []).append(path)
    return videos, images


def _inside(home: Path, folder: str, name: str) -> Iterator[Path]:
    """Paths that match `name` in all folders that match `folder`; case is ignored."""
    for outer in sorted(home.iterdir()):
        if outer.is_dir() and re.fullmatch(folder, outer.name, re.IGNORECASE):
            yield from (p for p in sorted(outer.iterdir()) if re.fullmatch(name, p.name, re.IGNORECASE | re.ASCII))


def _of_subject(subject: str, sources: Mapping[str, list[Path]]) -> Path | None:
    return _only(sources[subject], f"sources of frames for {subject}") if subject in sources else None


def _only(paths: list[Path], what: str) -> Path:
    if len(paths) > 1:
        together = len({p.parent for p in paths}) == 1
        raise UserError(
            f"{len(paths)} {what}",
            where=paths[0].parent if together else paths[0].parent.parent,
            expected="one",
            found=" and ".join(p.name if together else f"{p.parent.name}/{p.name}" for p in paths),
            remedy="take out all but one",
        )
    return paths[0]


def _video_of(video: Path) -> _Footage:
    source = cv2.VideoCapture(str(video))
    try:
        length = int(source.get(cv2.CAP_PROP_FRAME_COUNT)) if source.isOpened() else 0
    finally:
        source.release()
    if length <= 0:
        raise UserError(
            "a video cannot be read",
            where=video,
            expected="an AVI file that OpenCV can decode",
            found=f"{video.stat().st_size:,} bytes without a frame that OpenCV can find",
            remedy="copy this video from your DISFA anew, or extract its frames as images",
        )
    return _Footage(video, length, {i: video.with_name(f"{video.name}#{i}") for i in range(length)}, None)


def _images_of(folder: Path, labels: Labels, bad: set[int], settings: DisfaSettings) -> _Footage:
    by_number: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _IMAGE_NAME.fullmatch(path.name)
        if match is not None:
            by_number.setdefault(int(match["number"]), []).append(path)
    numbered = {number: _only(paths, f"images numbered {number}") for number, paths in sorted(by_number.items())}
    first = _first_number(folder, numbered, labels, settings)
    paths = {number - first: path for number, path in numbered.items()}
    # A copy with only the clean frames has no frames at the end of SN011; they do not count as missing.
    expected = {frame - 1 for frame in labels.frames} & bad
    return _Footage(folder, max({*paths, *expected}) + 1, paths, first)


def _first_number(folder: Path, numbered: Mapping[int, Path], labels: Labels, settings: DisfaSettings) -> int:
    """Number in the name of the first frame's image, 0 or 1."""
    low, high = min(numbered), max(numbered)
    last = labels.frames[-1] if labels.frames else 0
    numbering = f"{len(numbered)} images, numbers {low} to {high}; labels up to frame {last}"
    if settings.image_numbers != "auto":
        first = int(settings.image_numbers == "from_1")
        if low < first:
            raise UserError(
                "there is an image 0, although images are said to count from 1",
                where=folder,
                found=numbering,
                remedy="set disfa.image_numbers=auto",
            )
        return first
    if low == 0:
        return 0
    if low == 1 and last in numbered:
        return 1
    raise UserError(
        "the numbers of the images do not tell whether they count from 0 or from 1",
        where=folder,
        expected=f"0 to {last - 1}, or 1 to {last}" if last else "0 or 1 and up",
        found=numbering,
        remedy="look which image is the video's first frame, and set disfa.image_numbers=from_0 or from_1",
    )


def _check_same_start(home: Path, first_numbers: Mapping[str, int | None]) -> None:
    """Refuse a copy with different first numbers: probably one subject lacks its image 0."""
    zero, one = ([s for s, first in first_numbers.items() if first == k] for k in (0, 1))
    if zero and one:
        raise UserError(
            "the images of some subjects count from 0 and those of others from 1",
            where=home,
            expected="one way of counting",
            found=f"{len(zero)} subjects from 0, such as {zero[0]}; {len(one)} from 1, such as {one[0]}",
            remedy="extract the frames of one of these groups anew, or rename them",
        )


def _labelled_frames(labels: Labels, footage: _Footage, bad: set[int]) -> list[int]:
    """Labelled frames that the settings keep; all of them have a path."""
    last = labels.frames[-1] if labels.frames else 0
    if abs(last - footage.length) > MOST_SURPLUS:
        raise UserError(
            "labels and frames of a subject do not fit together",
            where=footage.where,
            expected=f"{last} frames, as the labels in {labels.file.parent.name} have, give or take {MOST_SURPLUS}",
            found=f"{footage.length} frames",
            remedy="copy this subject's footage and labels from your DISFA anew",
        )
    frames = [frame for frame in labels.frames if frame <= footage.length and frame - 1 not in bad]
    missing = [frame for frame in frames if frame - 1 not in footage.paths]
    if missing:
        raise UserError(
            f"{len(missing)} labelled frames have no image, the first is frame {missing[0]}",
            where=labels.file,
            line=labels.lines[labels.frames.index(missing[0])],
            expected=f"{footage.where}/{missing[0] - 1 + (footage.first or 0)}.png or .jpg, with any zero padding",
            found=f"{len(footage.paths)} images that count from {footage.first}",
            remedy="extract the missing frames from the video; if the numbers start elsewhere, set disfa.image_numbers",
        )
    return frames


def _no_footage(home: Path, subject: str, settings: DisfaSettings) -> UserError:
    other = "right" if settings.camera == "left" else "left"
    turned = any(subject in footage for footage in _find_footage(home, other))
    side = settings.camera.capitalize()
    return UserError(
        f"{subject} has labels, but neither a video nor images of the {settings.camera} camera",
        where=home,
        expected=f"Videos_{side}Camera/{side}Video{subject}_comp.avi or Frames_{side}Camera/{subject}/0.png",
        found=f"footage of the {other} camera" if turned else listing(home),
        remedy=f"set disfa.camera={other}" if turned else "copy the subject's video from your DISFA",
    )


def _describe_source(first_numbers: Mapping[str, int | None], subjects: int, unread: set[str]) -> str:
    numbered = f"images that count from {max((n for n in first_numbers.values() if n is not None), default=0)}"
    beside = f" ({len(unread)} videos beside them not read)" if unread else ""
    if not first_numbers:
        return "videos"
    if len(first_numbers) == subjects:
        return numbered + beside
    return f"{numbered} of {len(first_numbers)} subjects{beside}, videos of {subjects - len(first_numbers)}"


def read_mat_landmarks(folder: Path, labels: Labels) -> dict[int, Points]:
    """Read the eyes and the mouth of the frames with landmarks of one subject, by frame number from 1.

    Names vary for a few subjects, so the last number in a file's name identifies its frame. It counts from 0, or from 1
    if no file has number 0 and one has the number of the last label.

    Raises:
        UserError: There are no landmarks, a file has other contents, or the numbers do not determine the first frame.
    """
    remedy = f"copy {LANDMARKS} of this subject from your DISFA anew, or take images as they are: data.alignment=as_is"
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.rglob("*.mat")) if folder.is_dir() else ():
        match = _LANDMARK_NAME.fullmatch(path.name)
        if match is not None:
            files.setdefault(int(match["number"]), []).append(path)
    if not files:
        raise UserError(
            "a subject has no landmarks",
            where=folder,
            expected=f"{DISFA.folder}/{LANDMARKS}/{folder.name}/tmp_frame_lm/{folder.name}_0000_lm.mat",
            found=listing(folder),
            remedy=remedy,
        )
    numbered = {number: _only(paths, f"landmark files numbered {number}") for number, paths in files.items()}
    low, last = min(numbered), labels.frames[-1] if labels.frames else 0
    from_1 = low == 1 and last in numbered
    if low > 1 and not from_1:
        raise UserError(
            "the numbers of the landmark files do not tell whether they count from 0 or from 1",
            where=folder,
            expected=f"0 to {last - 1}, or 1 to {last}",
            found=f"{len(numbered)} files, numbers {low} to {max(numbered)}",
            remedy=remedy,
        )
    by_frame = {number + (0 if from_1 else 1): _read_points(path, remedy) for number, path in sorted(numbered.items())}
    points = {frame: landmarks for frame, landmarks in by_frame.items() if landmarks is not None}
    return believed(points, folder, "66 points, jaw first, eyes 37 to 48, mouth from 49 on")


def _read_points(file: Path, remedy: str) -> Points | None:
    try:
        points = np.asarray(loadmat(regular(file), variable_names=["pts"])["pts"], dtype=np.float64)
    # scipy raises many kinds of errors for a file that is not from MATLAB.
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(
            "landmarks cannot be read",
            where=file,
            expected="a MATLAB file with `pts`, 66 x 2",
            found=f"no {error}" if isinstance(error, KeyError) else str(error)[:120],
            remedy=remedy,
        ) from error
    if 0 in points.shape:
        return None
    if points.shape != (66, 2):
        shape = " x ".join(map(str, points.shape))
        raise UserError("landmarks have another shape", where=file, expected="66 x 2", found=shape, remedy=remedy)
    return points_of(points - 1, EYES_OF_66, MOUTH_OF_66)  # MATLAB counts pixels from 1


def _origin(
    faces: FaceSet, rows: Rows, protocol: Protocol, settings: DisfaSettings, contents: str
) -> tuple[Origin, str]:
    table = faces.table
    size = f"{len(table):,} frames of {table['subject'].nunique()} subjects"
    contents = f"{contents}; {rows.alignment}"
    # A video has no comment: only the marker identifies its stand-in.
    if is_standin(faces.root, table[~table["path"].str.contains("#", regex=False)]):
        return "stand-in", f"stand-in (procedural faces in DISFA's layout): {size}; {contents}"
    frames = protocol.frames if settings.frames == "all" else JAA_CLEAN_FRAMES
    if rows.subjects == protocol.subjects and abs(rows.coded - frames) <= 0.005 * frames:
        return "complete", f"DISFA: {size}; {contents}"
    full_copy = f"of {frames:,} frames of {len(protocol.subjects)}"
    return "partial", f"partial data in DISFA's layout: {size}, {full_copy}; {contents}"
