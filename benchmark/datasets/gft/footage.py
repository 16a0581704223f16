"""Frames of GFT's participants: videos, or images that were extracted from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.files import Coding, Missing, match_images, numbered_images
from benchmark.data.footage import MOST_LOST, video_footage
from benchmark.data.places import listed, subfolders
from benchmark.datasets.gft.settings import GftSettings

_MISSING = (
    "put the participant's video below GFT/, or name the folder of extracted images with --set gft.images=FOLDER; "
    "to leave such frames out: --set data.missing=leave_out"
)
_VIDEO_NAME = re.compile(
    r"(?:.*[^\dA-Za-z])?(?P<subject>\d{3}[ABC])(?:[^\dA-Za-z].*)?\.(?:avi|mp4|mov|mpe?g|wmv)", re.IGNORECASE | re.ASCII
)


def find_videos(home: Path) -> dict[str, list[Path]]:
    """Videos below the folder of GFT and its folders, by the participant in their names."""
    videos: dict[str, list[Path]] = {}
    for folder in (home, *subfolders(home)):
        for path in listed(folder):
            match = _VIDEO_NAME.fullmatch(path.name)
            if match is not None and path.is_file():
                videos.setdefault(match["subject"].upper(), []).append(path)
    return videos


def frames_of(
    images: Path, subject: str, videos: Mapping[str, list[Path]], coded: Coding, missing: Missing, first: int
) -> tuple[list[Path], Coding]:
    """Frames of a participant, from extracted images or from the video; frame f is the video's frame f - 1 from 0.

    Args:
        images: Folder of the participants' image folders.
        subject: The participant.
        videos: Videos by participant.
        coded: Coded frames of the participant.
        missing: Rule for coded frames without an image.
        first: Number of the first frame's image, 0 or 1.

    Returns:
        The images, and the coding of the frames that have one.

    Raises:
        UserError: There is neither, there are several videos or folders, or a coded frame has no image.
    """
    folders = [f for f in subfolders(images) if re.fullmatch(rf"{subject}(?:_.*)?", f.name)]
    if len(folders) > 1:
        raise UserError(
            f"{len(folders)} folders of images of participant {subject}",
            where=images,
            expected="one folder, of the participant's face",
            found=" and ".join(path.name for path in folders[:3]),
            remedy="take out all but one",
        )
    folder = folders[0] if folders else images / subject
    if subject not in videos or folder.is_dir():
        return match_images(folder, coded, remedy=_MISSING, missing=missing, offset=first - 1)
    if len(videos[subject]) > 1:
        raise UserError(
            f"{len(videos[subject])} videos of participant {subject}",
            where=videos[subject][0].parent,
            expected="one video, of the participant's face",
            found=" and ".join(path.name for path in videos[subject][:3]),
            remedy="take out all but one",
        )
    footage = video_footage(videos[subject][0])
    kept = coded.only(range(1, footage.length + 1))
    gone = len(coded.frames) - len(kept.frames)
    if gone > MOST_LOST and missing == "error":
        raise UserError(
            f"{gone} coded frames lie after the end of the video",
            where=footage.where,
            expected=f"{coded.frames[-1]} frames, as {coded.file.name} has, give or take {MOST_LOST}",
            found=f"{footage.length} frames",
            remedy="copy this participant's video and annotations anew, or " + _MISSING.rpartition("; ")[2],
        )
    return [footage.paths[frame - 1] for frame in kept.frames], kept


def first_image(images: Path, settings: GftSettings) -> int:
    """Number of the first frame in the names of extracted images, 0 or 1.

    It is 0 where participants have an image 0. Labels count from 1: a wrong number would shift every label by a frame.

    Args:
        images: Folder of the participants' image folders.
        settings: The number, if it is known.

    Raises:
        UserError: Some participants have an image 0, and others start with an image 1; or an image 0 contradicts the
            setting.
    """
    if settings.image_numbers == "from_0":
        return 0
    lowest = {p.name: min(numbers) for p in subfolders(images) if (numbers := numbered_images(p))}
    zero, one = (sorted(name for name, number in lowest.items() if number == k) for k in (0, 1))
    if zero and (one or settings.image_numbers == "from_1"):
        raise UserError(
            "the images of some participants count from 0 and those of others from 1"
            if one
            else "there are images 0, although images are said to count from 1",
            where=images,
            expected="one way of counting",
            found=f"{len(zero)} participants with an image 0, such as {zero[0]}"
            + (f"; {len(one)} from 1, such as {one[0]}" if one else ""),
            remedy="extract the frames of one group anew; or, if the others only lack their first frame, set "
            "--set gft.image_numbers=from_0",
        )
    return 0 if zero else 1
