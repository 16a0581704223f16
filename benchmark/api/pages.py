"""Folders of pages: beside the store, or, on request, the committed `reports/`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmark.core.errors import UserError, wrong_path
from benchmark.core.places import default_reports, is_checkout, report_of


def page_folder(out: Path | None, store: Path, *, publish: bool = False, below: str = "") -> Path:
    """The folder that pages are written to.

    Args:
        out: The folder that was asked for; None for the default.
        store: The store. The default folder is `report` in it.
        publish: Write into the committed `reports/`.
        below: Folder in `reports/` of the pages.

    Raises:
        UserError: `out` is in `reports/` without `publish`, `publish` is given with another folder, or nothing can be
            written there.

    Example:
        >>> page_folder(None, Path("runs")).as_posix()
        'runs/report'
    """
    committed = default_reports() / below
    if out is not None and out.exists() and not out.is_dir():
        raise wrong_path(out, "folder", expected="a folder of pages, or nothing", remedy="name another with --out")
    if not publish:
        if out is not None and is_checkout() and out.resolve().is_relative_to(default_reports().resolve()):
            raise UserError(
                "the folder holds the committed pages, which are only replaced on request",
                where=out,
                expected=f"another folder, or none: then the pages go to {report_of(store)}",
                remedy="leave --out away; or add --publish to replace what is committed",
            )
        return _writable(report_of(store) if out is None else out)
    if not is_checkout():
        raise UserError(
            "--publish replaces the pages of a checkout, and this is an installed package",
            remedy="leave --publish away, and name a folder with --out",
        )
    if out is not None and out.resolve() != committed.resolve():
        raise UserError(
            "--publish and --out name two folders",
            expected=f"{committed}, which --publish names",
            found=str(out),
            remedy="leave one of the two away",
        )
    return _writable(committed)


def _writable(folder: Path) -> Path:
    """The folder, if it can be made and written: pages come after minutes of work.

    Raises:
        UserError: Nothing can be written there.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(
            "no page can be written there",
            where=folder,
            expected="a folder that can be made and written",
            found=f"{there}: {error.strerror or error}",
            remedy="name another with --out",
        ) from error
    return folder


def last_of(name: str, out: Path, below: str = "") -> Path:
    """A file that pages are made of: the one in their folder, or, if it has none, the committed one."""
    own = out / name
    return own if own.is_file() else default_reports() / below / name
