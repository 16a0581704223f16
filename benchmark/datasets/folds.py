"""Random test parts by subject: for datasets without a split, and in place of the protocol's."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.data.sampling import generator


def draw_folds(subjects: Iterable[str], folds: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Draw test parts `part1`, `part2`, ... whose numbers of subjects differ by at most one.

    A pure function of the seed and the set of subjects.

    Args:
        subjects: All subjects, in any order.
        folds: Number of parts.
        seed: Seed of the random order.

    Raises:
        UserError: There are fewer subjects than parts.

    Example:
        >>> folds = draw_folds("abcdefg", 3, seed=0)
        >>> [len(part) for part in folds.values()], sorted("".join(sum(folds.values(), ()))) == list("abcdefg")
        ([3, 2, 2], True)
    """
    everyone = sorted(set(subjects))
    if len(everyone) < folds:
        raise UserError(
            "there are fewer subjects than parts",
            expected=f"at least {folds} subjects",
            found=f"{len(everyone)}: {', '.join(everyone[:8])}",
            remedy="set `folds` to a smaller number, or bring more subjects",
        )
    order = [everyone[i] for i in generator(seed, "folds").permutation(len(everyone)).tolist()]
    return {f"part{k + 1}": tuple(sorted(order[k::folds])) for k in range(folds)}


RANDOM_PARTS = 3
"""Number of test parts of a random split, as in the paper's protocol for BP4D and DISFA (§4.1.1)."""


def resplit(protocol: Protocol, split: int, present: Collection[str] | None = None) -> Protocol:
    """A protocol with the test parts of a random split by subject.

    Args:
        protocol: The protocol of the dataset.
        split: Number of the split, which is the seed of its random order; 0 for the protocol's parts.
        present: Subjects that the data have, so that no part is empty; None for all. Others only train.

    Returns:
        The protocol with parts `part1`, `part2`, `part3`; the same object for split 0.

    Raises:
        UserError: There are fewer than three subjects.

    Example:
        >>> protocol = Protocol(dataset="x", folder="x", aus=(1,), parts={"test": tuple("abc")}, frames=3, sequences=3)
        >>> sorted(resplit(protocol, 1).parts)
        ['part1', 'part2', 'part3']
    """
    if not split:
        return protocol
    tested = protocol.subjects if present is None else protocol.subjects & set(present)
    parts = draw_folds(tested, RANDOM_PARTS, split)
    return protocol.model_copy(update={"parts": parts, "train_only": tuple(sorted(protocol.subjects - tested))})
