"""Terms that all parts of the stand-in share: the AUs that a face can show, colours and images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]
"""(height, width, 3), RGB."""
Colour = tuple[float, float, float]
"""RGB in 0..255."""

DRAWN_AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26)
"""AUs that a face can show: BP4D's twelve, and 5, 9, 25, 26, which prototypes of emotions need."""
