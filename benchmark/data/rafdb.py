"""Reader of RAF-DB's basic subset (Li, Deng & Du, CVPR 2017), the FE data of the paper.

Layout::

    RAF-DB/basic/EmoLabel/list_patition_label.txt      lines `train_00001.jpg 5` (sic: "patition")
    RAF-DB/basic/Image/aligned/train_00001_aligned.jpg

Codes 1 to 7: surprise, fear, disgust, happiness, sadness, anger, neutral.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from benchmark.data.faces import FaceSet, is_standin
from benchmark.errors import UserError
from benchmark.protocol import EMOTIONS
from benchmark.results import Origin

FOLDER = "RAF-DB"
LABELS = "basic/EmoLabel/list_patition_label.txt"
ALIGNED = "basic/Image/aligned"
TRAIN_IMAGES = 12_271
"""Training images of the official basic subset, which the paper calls "about 12,300"."""

_LINE = re.compile(r"(?P<stem>(?P<split>train|test)_(?P<number>\d+))\.jpg\s+(?P<code>[1-7])")


def read_rafdb(root: Path, images: Literal["train", "all"] = "train") -> FaceSet:
    """Read RAF-DB's basic subset below the data root `root`, with its aligned images.

    Args:
        root: The folder that holds `RAF-DB/`.
        images: The training images alone, or the test images too (ambiguity A10).

    Raises:
        UserError: The list or an image is missing, or a line of the list is wrong or repeated.
    """
    home = root / FOLDER
    file = home / LABELS
    if not file.is_file():
        raise UserError(
            "no RAF-DB label list",
            where=file,
            expected=f"{FOLDER}/{LABELS} and {FOLDER}/{ALIGNED}/",
            found="no such file",
            remedy="unpack the basic subset of RAF-DB there; the compound subset is another one",
        )
    lines: dict[str, tuple[str, int, int]] = {}
    with file.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            match = _LINE.fullmatch(text.strip())
            if match is None or match["stem"] in lines:
                raise UserError(
                    "a wrong line in the RAF-DB label list",
                    where=file,
                    line=number,
                    expected="`train_00001.jpg 5`: a name that stands once, and a code from 1 to 7",
                    found=text.strip()[:80],
                    remedy="copy the list from RAF-DB anew",
                )
            lines[match["stem"]] = (match["split"], int(match["code"]), number)
    wanted = {stem: rest for stem, rest in sorted(lines.items()) if images == "all" or rest[0] == "train"}
    if not wanted:
        raise UserError(
            "the RAF-DB label list names no training image",
            where=file,
            remedy="copy the list from RAF-DB anew",
        )
    folder = home / ALIGNED
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    for stem, (_, _, number) in wanted.items():
        if f"{stem}_aligned.jpg" not in present:
            raise UserError(
                "a labelled RAF-DB image is missing",
                where=file,
                line=number,
                expected=str(folder / f"{stem}_aligned.jpg"),
                found=f"{len(present)} files in {folder.name}/",
                remedy="unpack Image/aligned.zip of the basic subset there",
            )
    table = pd.DataFrame(
        {
            "path": [f"{FOLDER}/{ALIGNED}/{stem}_aligned.jpg" for stem in wanted],
            "subject": list(wanted),  # RAF-DB names no people: every image stands alone
            "sequence": [split for split, _, _ in wanted.values()],
            "frame": range(len(wanted)),
        }
    )
    labels = np.array([code - 1 for _, code, _ in wanted.values()], dtype=np.int8)
    standin = is_standin(root, table)
    complete = not standin and sum(split == "train" for split, _, _ in lines.values()) == TRAIN_IMAGES
    note = f"{len(table):,} FE images, " + (
        "stand-in (procedural faces in RAF-DB's layout)"
        if standin
        else "RAF-DB basic"
        if complete
        else "partial data in RAF-DB's layout"
    )
    origin: Origin = "stand-in" if standin else "complete" if complete else "partial"
    return FaceSet("rafdb", root, table, labels, EMOTIONS, origin, note)
