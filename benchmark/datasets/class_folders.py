"""FE dataset without code: a profile declares it, and each class has a folder of images.

    [datasets.fer2013]
    reader = "class_folders"
    folder = "FER2013"    # below the data root: FER2013/train/angry/*.png, FER2013/test/angry/*.png

Without the folders `train` and `test`, the class folders are in `folder` itself, and all images are for training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.data.files import caught, listing
from benchmark.data.findings import Finding, few
from benchmark.datasets.base import FeDataset, Progress, ReadOptions, fe_dataset
from benchmark.datasets.declared import Declared, DeclaredSettings, count, origin_of
from benchmark.datasets.labels import in_order, label_names
from benchmark.datasets.tables import BelowRoot
from benchmark.standin.photos import BASIC_NAMES, draw_photos

_IMAGES = frozenset({".jpg", ".jpeg", ".png"})


@fe_dataset("class_folders")
class ClassFolders(Declared, FeDataset):
    """FE dataset with one folder of images a class."""

    settings: Settings

    class Settings(DeclaredSettings):
        """Settings of a declared dataset."""

        train: BelowRoot = "train"
        """Folder of the training images below `folder`."""
        test: BelowRoot = "test"
        """Folder of the test images below `folder`."""
        labels: Mapping[str, str] = {}
        """Folder name -> class name, for example { "0" = "neutral" }; "" leaves the class out. Classes are in the order
        of their folder names; numbers are ordered by value."""

    def read(self, root: Path, options: ReadOptions) -> FaceSet:
        """Read the images of all classes.

        Raises:
            UserError: A folder is missing, has no image, or has an unknown class name.
        """
        splits = self._splits(root)
        classes = self._classes(splits["train"])
        names = label_names(tuple(dict.fromkeys(classes.values())), splits["train"])
        before = count(options.faults)
        rows: list[dict[str, str | int]] = []
        for split, home in sorted(splits.items()):
            if split == "test" and options.images == "train":
                continue
            for folder in self._folders(home):
                with caught(options.faults):
                    for path in _images_of(folder, classes):
                        where = path.relative_to(root).as_posix()
                        row: dict[str, str | int] = {"path": where, "subject": where, "sequence": split}
                        rows.append(row | {"code": names.index(classes[folder.name])})
        if not rows:
            raise UserError("no folder holds a training image", where=splits["train"], found=listing(splits["train"]))
        table = pd.DataFrame(rows)
        labels = table.pop("code").to_numpy(np.int8)
        table["frame"] = range(len(table))
        origin, kind = origin_of(root, table, count(options.faults) - before)
        note = f"{kind}{len(table):,} FE images in the folders of {len(names)} classes below {self.folder}/"
        return FaceSet(self.name, root, table, labels, names, origin, note)

    def label_source(self, root: Path) -> Path:
        """The folder of the dataset."""
        return root / self.folder

    def findings(self, faces: FaceSet) -> list[Finding]:
        """Remarks on files in class folders that are no images."""
        homes = sorted({faces.root / str(path).rsplit("/", 1)[0] for path in faces.table["path"]})
        strange = [p.name for home in homes for p in sorted(home.iterdir()) if not _is_image(p) and p.name[0] != "."]
        if not strange:
            return []
        what = f"files that are neither JPEG nor PNG: {few(strange)}"
        return [Finding(what, where=str(self.label_source(faces.root)), severity="remark")]

    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write procedural faces into the class folders."""
        places = {"train": self.settings.train, "test": self.settings.test}
        folders = {name: folder for folder, name in self.settings.labels.items() if name}
        if len(folders) < 2:
            folders = {name: name for name in BASIC_NAMES} | folders

        def path_of(split: str, number: int, label: str) -> str:
            return f"{self.folder}/{places[split]}/{folders[label]}/{number:05d}.jpg"

        name_of = {folder: name for name, folder in folders.items()}
        names = [name_of[folder] for folder in in_order(name_of)]  # the order of the reader
        return draw_photos(home, settings, self.name, names, path_of, progress)

    def _splits(self, root: Path) -> dict[str, Path]:
        """Folder of each existing split, by split."""
        home = root / self.folder
        train, test = home / self.settings.train, home / self.settings.test
        if train.is_dir():
            return {"train": train, "test": test} if test.is_dir() and test != train else {"train": train}
        if test.is_dir() or "train" in self.settings.model_fields_set:
            raise UserError(
                "there is no folder of training images",
                where=train,
                found=listing(home),
                remedy="put it there, or name another one with the setting `train`",
            )
        return {"train": home}

    def _folders(self, home: Path) -> list[Path]:
        """Class folders that are read, in the order of their names."""
        by_name = {p.name: p for p in home.iterdir() if p.is_dir() and not p.name.startswith(".")}
        return [by_name[name] for name in in_order(by_name) if self.settings.labels.get(name, name)]

    def _classes(self, train: Path) -> dict[str, str]:
        """Class names by folder name."""
        folders = self._folders(train) if train.is_dir() else []
        return {folder.name: self.settings.labels.get(folder.name, folder.name) for folder in folders}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _IMAGES and not path.name.startswith(".")


def _images_of(folder: Path, classes: Mapping[str, str]) -> list[Path]:
    """Image files of one class, in order of names.

    Raises:
        UserError: The folder has no image, or there is no training folder of this name.
    """
    if folder.name not in classes:
        raise UserError(
            "a class has no training images",
            where=folder,
            expected=", ".join(classes),
            found=folder.name,
            remedy='bring its training images, or leave it out: labels = { "' + folder.name + '" = "" }',
        )
    images = sorted(p for p in folder.iterdir() if _is_image(p))
    if not images:
        raise UserError(
            "the folder of a class holds no image",
            where=folder,
            expected="files that end in .jpg, .jpeg or .png",
            found=listing(folder),
            remedy='bring its images, or leave it out: labels = { "' + folder.name + '" = "" }',
        )
    return images
