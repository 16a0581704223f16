"""Pictures with the faces that were predicted on, and a panel of probabilities. They carry no metadata."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from benchmark.core.action_units import with_name
from benchmark.predict.table import ACTIVE

LONGEST_SIDE = 960
"""Longest side of an annotated picture without its panel, pixels."""
SHORTEST_SIDE = 320
"""Shortest height of an annotated picture: smaller ones are enlarged, so that the panel is readable."""
_PAPER, _INK, _BAR, _LINE = (255, 255, 255), (30, 30, 30), (0, 114, 178), (213, 94, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ROW, _MARGIN = 18, 10
_NAME_WIDTH, _AU_WIDTH, _BAR_WIDTH, _VALUE_WIDTH = 230, 60, 80, 50

Picture = npt.NDArray[np.uint8]
"""RGB image (H, W, 3)."""


def annotated(
    image: Picture,
    outlines: Sequence[npt.NDArray[np.float64]],
    probabilities: npt.NDArray[np.float32],
    aus: tuple[str, ...],
    warning: str,
) -> Picture:
    """Draw the outlines of faces into a picture, and a panel with their probabilities beside it.

    Args:
        image: The picture.
        outlines: Corners (4, 2) of K faces, pixels of the picture.
        probabilities: (K, J).
        aus: Names of the J AUs.
        warning: Sentence below the picture; "" for none.
    """
    picture, scale = _resized(image)
    for number, outline in enumerate(outlines, start=1):
        corners = np.round((outline + 0.5) * scale - 0.5).astype(np.int32)
        cv2.polylines(picture, [corners.reshape(-1, 1, 2)], True, _LINE, 2, cv2.LINE_AA)
        if len(outlines) > 1:
            x, y = (int(value) for value in corners.min(axis=0))
            cv2.putText(picture, str(number), (max(x, 0) + 4, max(y, 0) + 22), _FONT, 0.7, _LINE, 2, cv2.LINE_AA)
    whole = np.concatenate([picture, _panel(picture.shape[0], probabilities, aus)], axis=1)
    return np.concatenate([whole, _footer(whole.shape[1], warning)], axis=0) if warning else whole


def even(picture: Picture) -> Picture:
    """The picture with a right and a lower border where a side is odd: video codecs need even sides."""
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT, value=_PAPER), dtype=np.uint8
    )


def _resized(image: Picture) -> tuple[Picture, float]:
    """A copy of a size that is readable on a screen, and its scale."""
    height, width = image.shape[:2]
    scale = min(LONGEST_SIDE / max(height, width), max(1.0, SHORTEST_SIDE / height))
    if scale == 1:
        return image.copy(), 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=kind), dtype=np.uint8), size[1] / height


def _panel(height: int, probabilities: npt.NDArray[np.float32], aus: tuple[str, ...]) -> Picture:
    """White panel with a bar and a number for each AU of each face, in as many columns as they need.

    Several faces have no room for the names of the AUs. The bars of active AUs have another colour.
    """
    alone = len(probabilities) <= 1  # the same for all frames of a video
    said = [with_name(au) if alone else au for au in aus]
    bar = _NAME_WIDTH if alone else _AU_WIDTH
    entries: list[tuple[str, float | None]] = []
    for number, values in enumerate(probabilities, start=1):
        entries += [] if alone else [(f"face {number}", None)]
        entries += list(zip(said, map(float, values), strict=True))
    entries = entries or [("no face", None)]
    lines = max(1, (height - 2 * _MARGIN) // _ROW)
    columns = -(-max(len(entries), len(aus)) // lines)  # one width for all frames of a video
    column = bar + _BAR_WIDTH + _VALUE_WIDTH
    panel = np.full((height, columns * column + _MARGIN, 3), _PAPER, dtype=np.uint8)
    for i, (name, value) in enumerate(entries):
        left, bottom = _MARGIN + i // lines * column, _MARGIN + (i % lines + 1) * _ROW - 4
        cv2.putText(panel, name, (left, bottom), _FONT, 0.45, _INK, 1, cv2.LINE_AA)
        if value is not None:
            _draw_bar(panel, left + bar, bottom, value)
    return panel


def _draw_bar(panel: Picture, start: int, bottom: int, value: float) -> None:
    """Draw a probability: its bar, the mark above which an AU is active, and the number."""
    tick = start + round(_BAR_WIDTH * ACTIVE)
    colour, weight = (_LINE, 2) if value > ACTIVE else (_BAR, 1)
    cv2.rectangle(panel, (start, bottom - 10), (start + _BAR_WIDTH, bottom), (225, 225, 225), -1)
    cv2.rectangle(panel, (start, bottom - 10), (start + round(_BAR_WIDTH * value), bottom), colour, -1)
    cv2.line(panel, (tick, bottom - 12), (tick, bottom + 2), _INK, 1)
    cv2.putText(panel, f"{value:.2f}", (start + _BAR_WIDTH + 6, bottom), _FONT, 0.42, _INK, weight, cv2.LINE_AA)


def _footer(width: int, sentence: str) -> Picture:
    """White strip with a sentence, in as many lines as it needs."""
    lines = [""]
    for word in sentence.split():
        longer = f"{lines[-1]} {word}".strip()
        if cv2.getTextSize(longer, _FONT, 0.42, 1)[0][0] <= width - 2 * _MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    strip = np.full((len(lines) * _ROW + _MARGIN, width, 3), _PAPER, dtype=np.uint8)
    for i, line in enumerate(lines, start=1):
        cv2.putText(strip, line, (_MARGIN, i * _ROW), _FONT, 0.42, _LINE, 1, cv2.LINE_AA)
    return strip
