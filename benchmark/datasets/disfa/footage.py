"""Frames of DISFA's subjects: videos, or images that a user or a laboratory extracted from them.

Layouts of extracted images, from public loaders::

    DISFA/Frames_LeftCamera/SN001/0.png                                 also Frames/
    DISFA/img/SN001/0.png                                               ME-GraphAU
    DISFA/SN001/0.jpg                                                   JAA-Net
    DISFA/images/LeftVideoSN001_comp/LeftVideoSN001_comp_0001.png       LibreFace

Extracted images count from 0 in some copies and from 1 in others. The first number is inferred from the names, or a
setting gives it. Folders whose names tell no camera count as the left one's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.files import Missing, listing
from benchmark.data.footage import Footage
from benchmark.data.places import listed, subfolders, undoubled
from benchmark.datasets.disfa.labels import Labels, only
from benchmark.datasets.disfa.settings import DisfaSettings

MOST_SURPLUS = 15
"""Maximum difference between the numbers of labels and of frames of a subject. Decoders return 4844, 4845 or 4854
frames for videos with 4845 labels."""

_IMAGE_NAME = re.compile(r"(?:[^.].*?[^\d])?0*(?P<number>\d+)\.(?:png|jpe?g)", re.IGNORECASE | re.ASCII)


def find_footage(home: Path, camera: str) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Videos and image folders of each subject: lists, because a copy can hold one of them in two spellings."""
    videos: dict[str, list[Path]] = {}
    images: dict[str, list[Path]] = {}
    subject = r"(?P<subject>SN\d{3})"
    for path in _inside(home, rf"videos?_{camera}camera", rf"{camera}video{subject}(?:_comp)?\.avi"):
        videos.setdefault(path.name.upper()[len(f"{camera}video") :][:5], []).append(path)
    folders = r"frames(?:_leftcamera)?|img|images" if camera == "left" else r"frames_rightcamera"
    for path in _inside(home, folders, subject):
        _keep(images, path, path.name.upper())
    for path in _inside(home, r"img|images", rf"{camera}video{subject}(?:_comp)?"):
        _keep(images, path, path.name.upper()[len(f"{camera}video") :][:5])
    for path in subfolders(home) if camera == "left" else ():
        if re.fullmatch(subject, path.name, re.IGNORECASE):
            _keep(images, path, path.name.upper())
    return videos, images


def _keep(images: dict[str, list[Path]], folder: Path, subject: str) -> None:
    folder = undoubled(folder)
    if any(_IMAGE_NAME.fullmatch(image.name) for image in listed(folder)):
        images.setdefault(subject, []).append(folder)


def _inside(home: Path, folder: str, name: str) -> Iterator[Path]:
    """Paths that match `name` in all folders that match `folder`; case is ignored."""
    for outer in subfolders(home):
        if re.fullmatch(folder, outer.name, re.IGNORECASE):
            yield from (p for p in listed(undoubled(outer)) if re.fullmatch(name, p.name, re.IGNORECASE | re.ASCII))


def of_subject(subject: str, sources: Mapping[str, list[Path]]) -> Path | None:
    """Source of a subject's frames; None if there is none.

    Raises:
        UserError: There are several.
    """
    return only(sources[subject], f"sources of frames for {subject}") if subject in sources else None


def image_footage(folder: Path, labels: Labels, bad: set[int], settings: DisfaSettings) -> Footage:
    """Frames of a subject in a folder of images.

    Args:
        folder: The images.
        labels: Labels of the subject.
        bad: Indices of frames, from 0, that the settings leave out.
        settings: Numbering of the images.

    Raises:
        UserError: Two images have one number, or the numbers do not determine the first frame.
    """
    by_number: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _IMAGE_NAME.fullmatch(path.name)
        if match is not None:
            by_number.setdefault(int(match["number"]), []).append(path)
    numbered = {number: only(paths, f"images numbered {number}") for number, paths in sorted(by_number.items())}
    first = _first_number(folder, numbered, labels, settings)
    paths = {number - first: path for number, path in numbered.items()}
    # A copy with only the clean frames has no frames at the end of SN011; they do not count as missing.
    expected = {frame - 1 for frame in labels.frames} & bad
    return Footage(folder, max({*paths, *expected}) + 1, paths, first)


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
                remedy="--set disfa.image_numbers=auto",
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
        remedy="look which image is the video's first frame, and --set disfa.image_numbers=from_0 or from_1",
    )


def check_same_start(home: Path, first_numbers: Mapping[str, int | None]) -> None:
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


def labelled_frames(labels: Labels, footage: Footage, bad: set[int], missing: Missing = "error") -> list[int]:
    """Labelled frames that the settings keep; all of them have a path.

    Raises:
        UserError: Labels and frames differ too much, or a frame has no image and the rule `missing` is `error`.
    """
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
    absent = [frame for frame in frames if frame - 1 not in footage.paths]
    if absent and missing == "leave_out":
        frames = [frame for frame in frames if frame - 1 in footage.paths]
    elif absent:
        raise UserError(
            f"{len(absent)} labelled frames have no image, the first is frame {absent[0]}",
            where=labels.file,
            line=labels.lines[labels.frames.index(absent[0])],
            expected=f"{footage.where}/{absent[0] - 1 + (footage.first or 0)}.png or .jpg, with any zero padding",
            found=f"{len(footage.paths)} images that count from {footage.first}",
            remedy="extract the missing frames from the video; if the numbers start elsewhere, set disfa.image_numbers;"
            " to leave them out: --set data.missing=leave_out",
        )
    return frames


def no_footage(home: Path, subject: str, settings: DisfaSettings) -> UserError:
    """Error for a subject without a video and without images of the camera."""
    other = "right" if settings.camera == "left" else "left"
    turned = any(subject in footage for footage in find_footage(home, other))
    side = settings.camera.capitalize()
    return UserError(
        f"{subject} has labels, but neither a video nor images of the {settings.camera} camera",
        where=home,
        expected=f"Videos_{side}Camera/{side}Video{subject}_comp.avi or Frames_{side}Camera/{subject}/0.png",
        found=f"footage of the {other} camera" if turned else listing(home),
        remedy=f"--set disfa.camera={other}" if turned else "copy the subject's video from your DISFA",
    )
