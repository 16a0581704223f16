"""Who trains, who is tested, which frames the meta net sees, and which images make batch number t."""

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
    """A generator that is a pure function of `seed` and `names`."""
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
    """Split by subject: `part` is tested, all other parts train, and the AU validation set is reserved from them.

    Args:
        faces: The AU dataset.
        protocol: Its parts.
        part: Name of the part that is tested; `ALL` tests no one.
        seed: Draws the reserve.
        fraction: Share of each training subject's frames that is reserved (§4.1.1: about 2 %).
        minimum: The least size of the reserve on small data (ambiguity A18).

    Raises:
        UserError: A side of the split has no subject, or there are too few frames to train on and to reserve.
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
    """The AU validation frames, drawn evenly per subject (§4.1.1, ambiguity A18).

    A subject gives round(fraction x its frames), and at least one where it has ten frames or more. If that makes
    fewer than `minimum` frames, the reserve grows to `minimum` or a quarter of `rest`, whichever is smaller, by
    one frame of each subject in turn, subjects in random order.
    """
    order = generator(seed, "au_val", "subjects")
    by_subject: dict[str, list[int]] = {}
    for name in sorted(set(subjects[rest])):
        own = rest[subjects[rest] == name]
        by_subject[name] = list(generator(seed, "au_val", name).permutation(own))
    taken: list[int] = []
    for shuffled in by_subject.values():
        count = len(shuffled)
        share = max(round(fraction * count), 1 if count >= 10 else 0)
        taken += [shuffled.pop() for _ in range(min(share, count - 1))]
    target = min(minimum, len(rest) // 4)
    while len(taken) < target:
        # A subject keeps at least one frame to train on.
        open_subjects = [name for name, shuffled in by_subject.items() if len(shuffled) > 1]
        if not open_subjects:
            break
        for name in order.permutation(open_subjects)[: target - len(taken)]:
            taken.append(by_subject[name].pop())
    return np.sort(np.array(taken, dtype=np.int64))


def check_fold(fold: Fold, faces: FaceSet) -> None:
    """Refuse a split that shares a subject between train and test, or a frame between any two sides.

    Raises:
        AssertionError: It does; a defect of this suite, whatever the data.
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
    """Which samples make batch t of a stream: a pure function of (seed, stream, t), so resuming needs no state.

    The batches of a stream walk through one endless row of permutations of its samples, so every sample is seen
    once before any is seen twice. Two methods at one seed see the same batches.

    Args:
        pool: Row indices to draw from.
        batch_size: Samples in a batch.
        seed: The trial's seed.
        stream: Name of the stream.
        replace: Draw each batch independently with replacement (a validation batch larger than the reserve, A18).
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
        """The generator of this batch's crops and flips."""
        return generator(self.seed, self.stream, "augment", step)

    def _draw_permutation(self, epoch: int) -> Indices:
        return generator(self.seed, self.stream, "order", epoch).permutation(self.pool)
