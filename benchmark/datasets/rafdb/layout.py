"""Places of RAF-DB's parts in the layouts that copies have.

Layouts::

    RAF-DB/basic/EmoLabel/..., RAF-DB/basic/Image/aligned/...    as distributed; the level `basic` may be missing
    RAF-DB/basic/Image/aligned/aligned/...                       after unpacking into a folder of the archive's name
    RAF-DB/train/1/train_00001_aligned.jpg                       class folders 1 to 7, also below DATASET/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.core.errors import UserError
from benchmark.data.files import listing
from benchmark.data.places import archives, at, first_holding, has_name, listed, subfolders, undoubled
from benchmark.data.sighting import Sighting

FOLDER = "RAF-DB"
LIST = "EmoLabel/list_patition_label.txt"
_SPLITS = ("train", "test")
_STEM = re.compile(r"(?P<stem>(?P<split>train|test)_\d+)(?:_aligned)?\.(?:jpe?g|png)", re.IGNORECASE)
_KNOWN_SPELLINGS = r"list_par?tition_label\.txt"


@dataclass(frozen=True)
class Places:
    """Folders and files of one copy; None for what is not there.

    Attributes:
        home: Folder of the dataset.
        basic: Folder with `EmoLabel` and `Image`.
        labels: The label list.
        classes: Folder with `train/1` to `train/7`.
    """

    home: Path
    basic: Path
    labels: Path | None
    classes: Path | None


def places_in(home: Path) -> Places:
    """Find the parts of RAF-DB in the dataset's folder."""
    home = undoubled(home)
    folder = first_holding(home, ("basic", ""), has_name("EmoLabel|Image"))
    basic = folder or home / "basic"
    lists = at(basic, "EmoLabel")
    names = [p for p in listed(lists) if re.fullmatch(_KNOWN_SPELLINGS, p.name, re.IGNORECASE)] if lists else []
    classes = first_holding(home, ("", "DATASET", "basic"), _has_classes)
    return Places(home, basic, names[0] if names else None, classes)


def images_in(places: Places, source: str) -> Path:
    """Folder of the aligned or original images, whether it exists or not."""
    return at(places.basic, f"Image/{source}") or places.basic / "Image" / source


def class_images(classes: Path) -> Iterator[tuple[str, str, int, Path]]:
    """Stem, split, code 1 to 7 and file of each image in class folders, in order of names.

    Raises:
        UserError: A file name says another split than its folder.
    """
    for split in _SPLITS:
        for code in range(1, 8):
            for path in listed(classes / split / str(code)):
                match = _STEM.fullmatch(path.name)
                if match is None:
                    continue
                if match["split"].lower() != split:
                    raise UserError(
                        f"a {match['split'].lower()} image stands among the {split} images",
                        where=path,
                        expected=f"{split}_... in {split}/",
                        found=path.name,
                        remedy="copy RAF-DB anew: test images must not be trained on",
                    )
                yield match["stem"], split, code, path


def no_labels(places: Places) -> UserError:
    """Error for a copy without labels, by its most likely cause."""
    packed = archives(places.home)
    compound = at(places.home, "compound")
    if packed:
        what, remedy = f"{packed[0].name} is not unpacked", "unpack it where it lies"
    elif compound is not None and at(places.home, "basic") is None:
        what, remedy = "this is the compound subset of RAF-DB, of 11 classes", "bring the basic subset, of seven"
    else:
        what = "no RAF-DB label list"
        remedy = "unpack the basic subset of RAF-DB there; the compound subset is another one"
    return UserError(
        what,
        where=places.basic / LIST,
        expected=f"{FOLDER}/basic/{LIST} and {FOLDER}/basic/Image/aligned/; or class folders {FOLDER}/train/1 to 7",
        found=listing(places.home),
        remedy=remedy,
    )


def _has_classes(folder: Path) -> bool:
    train = at(folder, "train")
    return train is not None and {p.name for p in subfolders(train)} >= {str(code) for code in range(1, 8)}


def sight(home: Path) -> Sighting | None:
    """Parts of RAF-DB in a folder; None for nothing."""
    places = places_in(home)
    images = [p for p in listed(images_in(places, "aligned")) if _STEM.fullmatch(p.name)]
    originals = [p for p in listed(images_in(places, "original")) if _STEM.fullmatch(p.name)]
    compound = at(places.home, "compound") is not None or re.fullmatch("compound", places.home.name, re.IGNORECASE)
    packed = [p for p in archives(places.home) if re.match(r"aligned|original|basic|raf", p.name, re.IGNORECASE)]
    if places.labels is None and places.classes is None and not images and not packed:
        return None
    votes = at(places.basic, "EmoLabel")
    multi = places.labels is not None and (places.labels.parent / "partition_label.txt").is_file()
    fault = None
    if places.labels is None and places.classes is None:
        fault = no_labels(places)
    elif compound and at(places.home, "basic") is None:
        fault = UserError(
            "this is the compound subset of RAF-DB, of 11 classes",
            where=home,
            remedy="bring the basic subset, of seven",
        )
    elif multi:
        fault = UserError("this is RAF-ML, another dataset", where=votes, remedy="bring RAF-DB's basic subset")
    elif places.classes is None and not images and not originals:
        fault = UserError(
            "the images of RAF-DB are missing",
            where=images_in(places, "aligned"),
            found=listing(places.basic),
            remedy="unpack Image/aligned.zip of the basic subset there",
        )
    kind = "class folders 1 to 7" if places.labels is None else f"label list in {places.labels.parent.name}"
    number = sum(1 for _ in class_images(places.classes)) if places.labels is None and places.classes else len(images)
    return Sighting("RAF-DB", home, kind, (f"images: {number:,} of 15,339",), fault, FOLDER)
