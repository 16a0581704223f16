"""Statistics of the final weights of FE images, for methods that weigh samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmark.core.f1 import FloatArray, mean_defined
from benchmark.core.origin import CLEAR
from benchmark.stats.ranks import mann_whitney_auc, spearman

BoolArray = npt.NDArray[np.bool_]


def weight_statistics(
    table: pd.DataFrame, label_names: Sequence[str], related_aus: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """Statistics of the weights of FE images.

    Args:
        table: One row per image: `label` (index into `label_names`) and `weight`; where the data have them also
            `consistency`, `kind`, `depicted`, and one boolean column per AU (`AU1`, ...).
        label_names: Names of the labels.
        related_aus: AUs that the paper relates to a label (§4.4), by label name.

    Returns:
        `mean` and `sd` of the weights. In addition:

        With `consistency`: its rank correlation with the weight over all images (`spearman_consistency`), and the mean
        of that correlation within each label (`spearman_consistency_within`). With `kind` too: the mean within labels
        of the correlation of an ideal weight, 1 for clear images and 0 for others (`spearman_clear_within`).

        With `kind`: the mean weight of each kind (`mean_KIND`). For each kind but the clear one: the probability that a
        clear image has a higher weight than an image of the kind (`auc_KIND`), and the mean of that probability within
        each depicted emotion that has both (`auc_within_KIND`).

        With AUs: the mean weight of images with any AU (`with_au`) and with none (`without_au`). For each label with
        related AUs, the mean weight of its images with all of them and of its other images, averaged over the labels
        that have both (`with_related_au`, `without_related_au`).

    Example:
        >>> weight_statistics(pd.DataFrame({"label": [0, 1], "weight": [0.25, 0.75]}), ("fear", "anger"), {})
        {'mean': 0.5, 'sd': 0.25}
    """
    weight = table["weight"].to_numpy(np.float64)
    statistics = {"mean": float(weight.mean()), "sd": float(weight.std())}
    return (
        statistics
        | _of_consistency(table, weight)
        | _of_kinds(table)
        | _of_aus(table, weight, label_names, related_aus)
    )


def _of_consistency(table: pd.DataFrame, weight: FloatArray) -> dict[str, float]:
    """Rank correlations with the agreement of the votes on a label."""
    if "consistency" not in table:
        return {}
    labels = table["label"].to_numpy()
    consistency = table["consistency"].to_numpy(np.float64)
    statistics = {"spearman_consistency": spearman(weight, consistency)}
    of_label = [labels == label for label in sorted(set(labels))]
    within = [spearman(weight[rows], consistency[rows]) for rows in of_label]
    statistics["spearman_consistency_within"] = float(mean_defined(np.array(within), axis=0))
    if "kind" in table:
        clear = (table["kind"] == CLEAR).to_numpy(np.float64)
        best = [spearman(clear[rows], consistency[rows]) for rows in of_label]
        statistics["spearman_clear_within"] = float(mean_defined(np.array(best), axis=0))
    return statistics


def _of_kinds(table: pd.DataFrame) -> dict[str, float]:
    """Mean weight of each kind, and how well the weight tells clear images from each other kind."""
    if "kind" not in table or CLEAR not in set(table["kind"]):
        return {}
    statistics = {}
    for kind, members in table.groupby("kind"):
        statistics[f"mean_{kind}"] = float(members["weight"].mean())
        if kind != CLEAR:
            statistics[f"auc_{kind}"] = _clear_against(table, str(kind))
            # Images of a kind may depict other emotions than the clear ones, and weights may follow what is depicted.
            depicted = [rows for _, rows in table.groupby("depicted")] if "depicted" in table else []
            within = [_clear_against(rows, str(kind)) for rows in depicted if {CLEAR, kind} <= set(rows["kind"])]
            if within:
                statistics[f"auc_within_{kind}"] = float(np.mean(within))
    return statistics


def _clear_against(table: pd.DataFrame, kind: str) -> float:
    """Probability that a clear image has a higher weight than an image of a kind."""
    clear, other = (table.loc[table["kind"] == name, "weight"].to_numpy(np.float64) for name in (CLEAR, kind))
    return mann_whitney_auc(clear, other)


def _of_aus(
    table: pd.DataFrame, weight: FloatArray, label_names: Sequence[str], related_aus: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """Mean weights of images with and without AUs."""
    aus = table.filter(regex=r"^AU\d+$")
    if aus.empty:
        return {}
    labels = table["label"].to_numpy()
    everything = (aus.any(axis=1).to_numpy(bool), np.full(len(table), True))
    related = [
        (table[list(names)].all(axis=1).to_numpy(bool), labels == list(label_names).index(label))
        for label, names in related_aus.items()
    ]
    return _either(("with_au", "without_au"), weight, [everything]) | _either(
        ("with_related_au", "without_related_au"), weight, related
    )


def _either(names: tuple[str, str], weight: FloatArray, cases: list[tuple[BoolArray, BoolArray]]) -> dict[str, float]:
    """Mean weight with and without a mark, averaged over the cases (mark, rows) whose rows have both."""
    both = [
        (weight[rows & mark].mean(), weight[rows & ~mark].mean())
        for mark, rows in cases
        if (rows & mark).any() and (rows & ~mark).any()
    ]
    return dict(zip(names, np.mean(both, axis=0).tolist(), strict=True)) if both else {}
