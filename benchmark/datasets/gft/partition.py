"""Split of GFT's participants: the authors' from a file, or the one that was inferred from image counts."""

from __future__ import annotations

from pathlib import Path

from benchmark.config.protocol import Protocol
from benchmark.core.errors import UserError
from benchmark.core.files import regular
from benchmark.data.files import listing
from benchmark.datasets.gft.protocol import GFT
from benchmark.datasets.gft.settings import DEFAULTS, GftSettings

INFERRED = "inferred"
"""Value of the setting `split` for the inferred split."""
SPLIT = f"{GFT.folder}/split.csv"
"""Default split file, below the data root."""


def gft_protocol(root: Path, protocol: Protocol = GFT, settings: GftSettings = DEFAULTS) -> Protocol:
    """Protocol with the authors' split: test subjects as the part `test`, the others as `train_only`.

    Args:
        root: The folder that holds `GFT/`.
        protocol: Protocol with the known subjects and the inferred split, returned for `split = "inferred"`.
        settings: Split file or `inferred`.

    Raises:
        UserError: There is no split file and the setting is not `inferred`; the file has a wrong line, an unknown or
            repeated subject, or a side without subjects.
    """
    file = split_file(root, settings)
    if file is None:
        return protocol
    sides = _read_split(file, protocol)
    # Sorted, so that the order of lines has no effect.
    test, train = (tuple(sorted(s for s, side in sides.items() if side == name)) for name in ("test", "train"))
    return protocol.model_copy(update={"parts": {"test": test}, "train_only": train})


def split_file(root: Path, settings: GftSettings) -> Path | None:
    """Split file; None for the inferred split.

    Raises:
        UserError: There is no such file.
    """
    if settings.split == INFERRED:
        return None
    file = root / (settings.split or SPLIT)
    if not file.is_file():
        raise UserError(
            "there is no split file",
            where=file,
            expected="lines 001A,train or 001A,test for all participants",
            found=listing(file.parent),
            remedy=f"write {SPLIT} from the partition on the authors' page, osf.io/7wcyz; "
            f"or take the split that was inferred from image counts: --set gft.split={INFERRED}",
        )
    return file


def _read_split(file: Path, protocol: Protocol) -> dict[str, str]:
    """Side (`train` or `test`) of each subject."""
    remedy = "mend this line: each participant stands once, with train or test"
    sides: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, text in enumerate(regular(file).read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        if not text.strip():
            continue
        subject, comma, side = (cell.strip() for cell in text.partition(","))
        if not comma or side not in {"train", "test"}:
            raise UserError(
                "a bad line in the split file",
                where=file,
                line=line,
                expected="001A,train or 001A,test",
                found=text.strip()[:80],
                remedy=remedy,
            )
        if subject not in protocol.subjects or subject in sides:
            raise UserError(
                "a repeated subject in the split file" if subject in sides else "an unknown subject in the split file",
                where=file,
                line=line,
                expected=f"one of the {len(protocol.subjects)} subjects, {span(protocol)}, each once",
                found=f"{subject}, as in line {lines[subject]}" if subject in sides else subject or "an empty cell",
                remedy=remedy,
            )
        sides[subject], lines[subject] = side, line
    for side in ("train", "test"):
        if side not in sides.values():
            raise UserError(
                f"the split file has no {side} subject",
                where=file,
                expected="subjects on both sides, train and test",
                found=f"{len(sides)} subjects, none in {side}",
                remedy="write the other side's lines, too",
            )
    return sides


def span(protocol: Protocol) -> str:
    """First and last subject in words."""
    return f"{min(protocol.subjects)} to {max(protocol.subjects)}"
