"""Text from data as a report can show it: no control character, and no longer than a reader reads."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pandas as pd

from benchmark.store.results import Results

LONGEST = 1000
"""Longest text in a table, characters."""
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
"""Characters that XML does not allow, or that break a line."""
_DESCRIPTIVE = ("paper_row", "profile", "shared_overrides", "variant", "data_note", "backbone", "weights")
"""Columns of `Results.trials` that name nothing but inform readers."""


def readable(text: str, longest: int = LONGEST) -> str:
    r"""Text without control characters, cut after so many characters.

    Example:
        >>> readable("a\x00b" * 3, longest=6)
        'a ba …'
    """
    shown = _UNSHOWN.sub(" ", text)
    return shown if len(shown) <= longest else f"{shown[: longest - 2]} …"


def readable_results(results: Results) -> Results:
    """Copy of results with readable descriptions, for the text of a report."""
    trials = results.trials
    columns = {name: trials[name].map(readable).astype("string") for name in _DESCRIPTIVE}
    for name in ("settings", "provenance"):
        columns[name] = pd.Series([_readable_json(text) for text in trials[name]], index=trials.index, dtype="string")
    return replace(results, trials=trials.assign(**columns))


def _readable_json(text: str) -> str:
    # Most hold neither an escaped character nor a text that is too long.
    if "\\" not in text and len(text) <= LONGEST:
        return text
    return json.dumps(_cleaned(json.loads(text)), sort_keys=True)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {readable(name): _cleaned(item) for name, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value
