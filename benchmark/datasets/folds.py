"""Random test parts by subject, for datasets without a split."""

from __future__ import annotations

from collections.abc import Iterable

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
