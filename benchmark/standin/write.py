"""Files of a stand-in: its datasets, their ground truth, and the marker that distinguishes it from real data.

The files are a pure function of the settings (with the same versions of NumPy, OpenCV and Pillow). The number of
processes has no effect, since every image has its own seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pandas as pd

from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.faces import MARKER, MARKER_FORMAT
from benchmark.data.known import TRUTH
from benchmark.store.scratch import scratch_folder


class Written(Protocol):
    """Dataset that can write its stand-in (`benchmark.datasets.base.Dataset`)."""

    name: str

    def write_standin(
        self, home: Path, settings: StandinSettings, progress: Callable[[int, int], None] | None
    ) -> pd.DataFrame:
        """Write the dataset's files below `home` and return their ground truth."""


def write_standin_root(
    out: Path,
    datasets: Sequence[Written],
    settings: StandinSettings,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the stand-in of each dataset below `out`, `OUT/truth/NAME.parquet` and the marker `OUT/standin.json`.

    The files are written into a temporary folder beside `out`, which is then renamed, so `out` is complete or absent.

    Args:
        out: A folder that does not exist yet, or is empty.
        datasets: The datasets to write.
        settings: Size and parameters of the stand-in.
        progress: Called with (images written, images), for each dataset in turn.

    Raises:
        UserError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """
    with whole_folder(out) as scratch:
        (scratch / TRUTH).mkdir()
        for dataset in datasets:
            truth = dataset.write_standin(scratch, settings, progress)
            truth.to_parquet(scratch / TRUTH / f"{dataset.name}.parquet", index=False)
        mark_standin(scratch, settings)


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Temporary folder that becomes `out` at the end, or is deleted: after an error at once, after a kill by the next.

    Raises:
        UserError: `out` exists and is not an empty folder, or its parent cannot be written to.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            "the output folder of the stand-in exists and is not empty",
            where=out,
            remedy="name a new folder, or remove this one",
        )
    with ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            scratch = stack.enter_context(scratch_folder(out.parent, out.name))
        except OSError as error:
            raise UserError(f"cannot write beside the output folder: {error.strerror}", where=out) from error
        yield scratch
        if out.exists():
            out.rmdir()
        scratch.rename(out)


def mark_standin(home: Path, settings: StandinSettings) -> None:
    """Write the marker of a stand-in."""
    marker = {
        "format": MARKER_FORMAT,
        "settings": settings.model_dump(),
        "note": "procedural faces; no person, no licensed image",
    }
    (home / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
