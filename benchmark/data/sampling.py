"""Splits by subject, the AU validation set, and the order of batches."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmark.config.protocol import ALL, Protocol
from benchmark.core.errors import UserError
from benchmark.data.faces import FaceSet

Indices = npt.NDArray[np.int64]


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Random generator that is a pure function of `seed` and `names`."""
    keys = [zlib.crc32(name.encode()) if isinstance(name, str) else name for name in names]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *keys])))


@dataclass(frozen=True)
class Fold:
    """Row indices of one AU dataset: `train`, `val` (reserved from the training subjects) and `test`."""

    part: str
    train: Indices
    val: Indices
    test: Indices


def make_fold(faces: FaceSet, protocol: Protocol, part: str, seed: int, *, fraction: float, minimum: int) -> Fold:
    """Split an AU dataset by subject: `part` is tested, all others train, and some of their frames are reserved.

    Args:
        faces: The AU dataset.
        protocol: Parts of the dataset.
        part: Test part; `ALL` for none.
        seed: Seed of the reserve.
        fraction: Share of each training subject's frames that is reserved (§4.1.1: about 2 %).
        minimum: Minimum size of the reserve, frames (ambiguity A18).

    Raises:
        UserError: A side of the split has no subject, or there are too few frames to train and to reserve.
    """
    subjects = faces.table["subject"].to_numpy()
    tested = np.isin(subjects, () if part == ALL else protocol.parts[part])
    test, rest = np.flatnonzero(tested), np.flatnonzero(~tested)
    if (not len(test) and part != ALL) or not len(rest):
        raise UserError(
            f"{protocol.dataset} {part} has no {'test' if not len(test) else 'training'} subject",
            where=faces.root,
            expected=f"some subjects of {part} and some of another part",
            found=f"{len(set(subjects))} subjects: {', '.join(sorted(set(subjects))[:8])}, ...",
            remedy="bring more subjects, or choose parts with --part",
        )
    val = reserve(subjects, rest, seed, fraction=fraction, minimum=minimum)
    train = np.setdiff1d(rest, val)
    if not len(val) or not len(train):
        raise UserError(
            f"too few frames to train on for {protocol.dataset} {part}",
            where=faces.root,
            expected="at least four training frames, of which one is reserved for validation",
            found=f"{len(rest)} training frames",
            remedy="bring more frames",
        )
    fold = Fold(part, train, val, test)
    check_fold(fold, faces)
    return fold


def reserve(subjects: npt.NDArray[np.object_], rest: Indices, seed: int, *, fraction: float, minimum: int) -> Indices:
    """Draw the AU validation frames evenly per subject (§4.1.1, ambiguity A18).

    A subject gives round(fraction x its frames), and at least one if it has ten frames or more. If the reserve is then
    smaller than `minimum`, it grows to the smaller of `minimum` and a quarter of `rest`: it takes one frame of each
    subject in turn, subjects in random order.
    """
    order = generator(seed, "au_val", "subjects")
    by_subject: dict[str, list[int]] = {}
    for name in sorted(set(subjects[rest])):
        indices = rest[subjects[rest] == name]
        by_subject[name] = list(generator(seed, "au_val", name).permutation(indices))
    taken: list[int] = []
    for shuffled in by_subject.values():
        count = len(shuffled)
        share = max(round(fraction * count), 1 if count >= 10 else 0)
        taken += [shuffled.pop() for _ in range(min(share, count - 1))]
    target = min(minimum, len(rest) // 4)
    while len(taken) < target:
        # Each subject keeps at least one frame for training.
        open_subjects = [name for name, shuffled in by_subject.items() if len(shuffled) > 1]
        if not open_subjects:
            break
        for name in order.permutation(open_subjects)[: target - len(taken)]:
            taken.append(by_subject[name].pop())
    return np.sort(np.array(taken, dtype=np.int64))


def check_fold(fold: Fold, faces: FaceSet) -> None:
    """Refuse a split with a subject in both train and test, or a frame in two sides.

    Raises:
        AssertionError: The split is wrong, which is a defect of this suite and not of the data.
    """
    subjects = faces.table["subject"].to_numpy()
    learning = np.concatenate([fold.train, fold.val])
    shared = set(subjects[learning]) & set(subjects[fold.test])
    if shared:
        raise AssertionError(f"subjects {sorted(shared)} stand in train and test of {fold.part}")
    every = np.concatenate([learning, fold.test])
    if len(np.unique(every)) != len(every) or len(every) != len(faces):
        raise AssertionError(f"{fold.part}: train, validation and test do not partition the {len(faces)} frames")
    paths = faces.table["path"].to_numpy()
    if len(set(paths)) != len(paths):
        raise AssertionError("an image stands twice in the table")


class BatchOrder:
    """Samples of batch t of a stream: a pure function of (seed, stream, t), so resuming needs no state.

    The batches of a stream follow an endless series of permutations of its samples, so every sample occurs once before
    any occurs twice. Two methods with one seed see the same batches.

    Args:
        pool: Row indices to draw from.
        batch_size: Samples in a batch.
        seed: The trial's seed.
        stream: Name of the stream.
        replace: Draw batches independently with replacement (for a validation batch larger than the reserve, A18).
    """

    def __init__(self, pool: Indices, batch_size: int, seed: int, stream: str, *, replace: bool = False) -> None:
        if not len(pool):
            raise ValueError(f"stream {stream} has no sample")
        self.pool = pool
        self.batch_size = batch_size
        self.seed = seed
        self.stream = stream
        self.replace = replace
        self._permutation = lru_cache(maxsize=2)(self._draw_permutation)

    def indices(self, step: int) -> Indices:
        """Row indices of batch `step`, (batch_size,)."""
        if self.replace:
            return generator(self.seed, self.stream, "replace", step).choice(self.pool, self.batch_size)
        position = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, offsets = np.divmod(position, len(self.pool))
        return np.concatenate([self._permutation(int(e))[offsets[epochs == e]] for e in np.unique(epochs)])

    def augmentation(self, step: int) -> np.random.Generator:
        """Random generator of the crops and flips of batch `step`."""
        return generator(self.seed, self.stream, "augment", step)

    def _draw_permutation(self, epoch: int) -> Indices:
        return generator(self.seed, self.stream, "order", epoch).permutation(self.pool)
