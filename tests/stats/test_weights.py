"""Statistics of the weights of FE images, by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmark.datasets.rafdb.reader import EMOTIONS, RELATED_AUS
from benchmark.stats.weights import weight_statistics


def test_statistics_of_the_weights_by_hand() -> None:
    table = pd.DataFrame(
        {
            "label": [0, 0, 0, 1, 1, 1],
            "weight": [0.1, 0.2, 0.3, 0.9, 0.8, 0.7],
            "consistency": [0.5, 0.6, 0.7, 0.2, 0.3, 0.4],
        }
    )
    found = weight_statistics(table, EMOTIONS, RELATED_AUS)
    assert found["mean"] == pytest.approx(0.5)
    assert found["spearman_consistency_within"] == pytest.approx(0.0)  # +1 in one class, -1 in the other
    assert found["spearman_consistency"] == pytest.approx(spearmanr(table["weight"], table["consistency"]).statistic)
    assert set(weight_statistics(table.drop(columns="consistency"), EMOTIONS, RELATED_AUS)) == {"mean", "sd"}


def test_a_label_without_a_correlation_is_left_out_of_their_mean() -> None:
    table = pd.DataFrame({"label": [0, 0, 0, 1], "weight": [0.1, 0.2, 0.3, 0.9], "consistency": [0.5, 0.6, 0.7, 0.2]})
    assert weight_statistics(table, EMOTIONS, RELATED_AUS)["spearman_consistency_within"] == pytest.approx(1.0)


def test_weights_by_active_aus_by_hand() -> None:
    """Of three classes one has images with all its AUs and without; fear has no other image, neutral no AUs."""
    happiness, fear, neutral = (EMOTIONS.index(name) for name in ("happiness", "fear", "neutral"))
    aus = dict.fromkeys(("AU1", "AU4", "AU5", "AU6", "AU9", "AU12", "AU26"), False)
    rows = [
        {"label": happiness, "weight": 0.9, **aus, "AU6": True, "AU12": True},
        {"label": happiness, "weight": 0.5, **aus, "AU12": True},
        {"label": happiness, "weight": 0.3, **aus},
        {"label": fear, "weight": 0.7, **aus, "AU1": True},
        {"label": neutral, "weight": 0.1, **aus},
    ]
    found = weight_statistics(pd.DataFrame(rows), EMOTIONS, RELATED_AUS)
    assert found["with_au"] == pytest.approx((0.9 + 0.5 + 0.7) / 3)
    assert found["without_au"] == pytest.approx((0.3 + 0.1) / 2)
    assert found["with_related_au"] == pytest.approx(0.9)
    assert found["without_related_au"] == pytest.approx((0.5 + 0.3) / 2)
