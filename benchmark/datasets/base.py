"""Contract of a dataset: its reader, the contents of a full copy, and its stand-in.

A dataset is one file in this folder (or one folder with `__init__.py`), found by its decorator:

    @au_dataset("mydata")
    class MyData(AuDataset):
        title = "My data"
        folder = "MyData"
        protocol = Protocol(dataset="mydata", folder="MyData", aus=(1, 2, 4), parts={...}, frames=1000, sequences=20)

        def read(self, root, protocol, options): ...
        def write_standin(self, home, settings, progress): ...

The rest of the suite uses these classes only, so a new dataset needs no change of other files.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict

from benchmark.config.protocol import Protocol
from benchmark.config.settings import Align, StandinSettings, StartSettings
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet
from benchmark.data.files import Missing
from benchmark.data.findings import Finding
from benchmark.data.known import Known
from benchmark.data.sighting import Sighting

Progress = Callable[[int, int], None] | None
"""Called with (items done, items)."""


class DatasetSettings(BaseModel):
    """Base of the settings of one dataset: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading the files of a dataset.

    Attributes:
        alignment: `landmarks` reads the landmarks for alignment; `as_is` leaves images as they are.
        images: Images of an FE dataset: `train` for the training images, `all` for all (A10).
        progress: Called with (sequences read, sequences).
        faults: Collects faults; the faulty part is left out. None: the first fault is raised.
        missing: Coded frames without an image: `error`, or `leave_out` and count them.
    """

    alignment: Align = "as_is"
    images: Literal["train", "all"] = "train"
    progress: Progress = None
    faults: list[UserError] | None = None
    missing: Missing = "error"


@dataclass(frozen=True)
class PrintedTable:
    """Table of results on a dataset, as the paper prints it.

    Attributes:
        file: CSV file with one row a method: `method`, `reference`, `reported`, `group`, one column an AU, `ave`.
        number: Number of the table in the paper.
        folds: Number of test parts that the printed numbers cover.
    """

    file: Path
    number: int
    folds: int


@dataclass(frozen=True)
class Start:
    """Source AU dataset of the backbone initialisation (§4.1.1, A14).

    Attributes:
        dataset: Name of the source dataset.
        settings: Method and parts of the training on it.
    """

    dataset: str
    settings: StartSettings


class Dataset(ABC):
    """Base of all datasets.

    Args:
        name: Name on the command line and in the tables of results.
        settings: An instance of the class's `Settings`.
    """

    kind: ClassVar[Literal["au", "fe"]]
    registered: ClassVar[str]
    """Name that the decorator registered."""
    title: str
    """Name of the dataset in prose."""
    folder: str
    """Folder of the dataset below the data root."""
    Settings: ClassVar[type[DatasetSettings]] = DatasetSettings

    def __init__(self, name: str, settings: DatasetSettings) -> None:
        self.name = name
        self.settings = settings

    def recognise(self, home: Path) -> Sighting | None:
        """Parts of this dataset in a folder, in whatever layout; None for nothing of it.

        Args:
            home: Any folder.
        """
        return None

    def alignment(self, wanted: Align) -> Align:
        """Alignment of this dataset's faces, where the profile wants `wanted`."""
        return wanted

    @abstractmethod
    def write_standin(self, home: Path, settings: StandinSettings, progress: Progress) -> pd.DataFrame:
        """Write a stand-in of this dataset below `home`, in the dataset's official layout.

        Args:
            home: The data root, without the dataset's folder.
            settings: Size and parameters of the stand-in.
            progress: Called with (images written, images).

        Returns:
            The ground truth. AU dataset: one row a frame with `subject`, `frame`, `path` (relative to `home`), `coded`,
            and the intensity in [0, 1] of each drawn AU as `AU1`, ... FE dataset: one row an image: `path`, `split`,
            `label` (name), `kind`, `depicted` and the AUs.
        """


class AuDataset(Dataset):
    """Base of datasets with AU labels."""

    kind = "au"
    protocol: Protocol
    """AUs, subjects and parts of the dataset, and of its stand-in."""
    printed: ClassVar[PrintedTable | None] = None
    """Printed table of the paper; None: the report shows our rows alone."""
    curves: ClassVar[str] = ""
    """Name of the paper's figure of training curves on this dataset; "" for none."""
    list_pattern: ClassVar[re.Pattern[str] | None] = None
    """Expression for the frame that a name on a public list means: groups `subject`, `frame`, `task`; None for none."""
    list_example: ClassVar[str] = ""
    """A name on such a list, for errors."""
    list_offset: ClassVar[int] = 0
    """Label frame minus the number in a name on a public list."""
    people: ClassVar[Mapping[str, re.Pattern[str]]] = MappingProxyType({})
    """Groups of people that the names of subjects tell apart: group -> expression for the names; none for none."""
    tracked: ClassVar[bool] = False
    """Whether the landmarks of the dataset follow faces through videos."""
    known_lists: ClassVar[Path | None] = None
    """CSV file with the names and the numbers of frames of public lists; None for none."""

    @property
    def start(self) -> Start | None:
        """Source of the backbone initialisation; None: backbones start from `method.weights`."""
        return None

    def protocol_at(self, root: Path) -> Protocol:
        """Protocol of the copy at a data root.

        Raises:
            UserError: The files that define it are missing or wrong.
        """
        return self.protocol

    @abstractmethod
    def read(self, root: Path, protocol: Protocol, options: ReadOptions) -> FaceSet:
        """Read the labelled frames below a data root.

        Args:
            root: Folder that holds `folder`.
            protocol: Result of `protocol_at(root)`.
            options: Alignment, progress, faults.

        Returns:
            Faces with labels (N, J) in the order of `protocol.aus`; the order of columns and files has no effect.

        Raises:
            UserError: A file is missing or wrong; the error names it.
        """

    def known(self, protocol: Protocol) -> Known:
        """Known contents of a full copy."""
        return Known(protocol.subjects)

    def coded_frames(self, root: Path, protocol: Protocol, sequence: str) -> Sequence[int] | None:
        """Labelled frames of one sequence, from its label file alone; None if there is no such file.

        Raises:
            UserError: The label file is wrong.
        """
        return None

    def findings(self, root: Path, protocol: Protocol, sequences: Iterable[str]) -> list[Finding]:
        """Findings of `malbench data check` that only this dataset has.

        Args:
            root: The data root.
            protocol: Result of `protocol_at(root)`.
            sequences: Sequences that have labels.
        """
        return []

    def sequences_of(self, truth: pd.DataFrame) -> pd.Series:
        """Sequence of each row of a stand-in's ground truth, as `FaceSet.table` names it."""
        below = next((name for name in ("task", "sequence") if name in truth), None)
        return truth["subject"] if below is None else truth["subject"] + "/" + truth[below]

    def is_read(self, truth: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether the settings keep each coded row of a stand-in's ground truth, (N,)."""
        return np.ones(len(truth), dtype=bool)


class FeDataset(Dataset):
    """Base of datasets with facial expression labels."""

    kind = "fe"
    related_aus: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """AUs that the paper relates to a class (§4.4), by class name."""

    @abstractmethod
    def read(self, root: Path, options: ReadOptions) -> FaceSet:
        """Read the images below a data root.

        Args:
            root: Folder that holds `folder`.
            options: Alignment, images, progress, faults.

        Returns:
            Faces with labels (N,), indices into `label_names`. `table.sequence` holds the split of each image.

        Raises:
            UserError: A file is missing or wrong; the error names it.
        """

    def known_classes(self) -> Mapping[str, Mapping[str, int]]:
        """Number of images by split and label of a full copy; empty if not published."""
        return {}

    def certain_split(self, split: str) -> bool:
        """Whether the class counts of a split are published, so that different counts are a fault."""
        return True

    def label_source(self, root: Path) -> Path:
        """File or folder of the labels, for findings."""
        return root / self.folder

    def findings(self, faces: FaceSet) -> list[Finding]:
        """Findings of `malbench data check` that only this dataset has."""
        return []


D = TypeVar("D", bound=type[Dataset])


def au_dataset(name: str, *, reader: bool = False) -> Callable[[D], D]:
    """Register an `AuDataset` under the name of its file.

    Args:
        name: The name.
        reader: Whether it is a reader, of which profiles declare their datasets, so that nox has no session for it.

    Example:
        >>> @au_dataset("mydata")
        ... class MyData(AuDataset):
        ...     title = "My data"
        >>> MyData.registered
        'mydata'
    """
    return partial(_register, name=name)


def fe_dataset(name: str) -> Callable[[D], D]:
    """Register a `FeDataset` under the name of its file.

    Example:
        >>> @fe_dataset("myfaces")
        ... class MyFaces(FeDataset):
        ...     title = "My faces"
        >>> MyFaces.registered
        'myfaces'
    """
    return partial(_register, name=name)


def _register(cls: D, *, name: str) -> D:
    cls.registered = name
    return cls
