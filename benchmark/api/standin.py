"""The quality sheet of the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.api.pages import last_of
from benchmark.config.profile import load_profile
from benchmark.config.settings import DEFAULT_AU, Profile
from benchmark.core.places import default_cache
from benchmark.data.probe import pixel_probe
from benchmark.report.standin import Sheet, write_standin_page
from benchmark.standin.renderers import RENDERERS
from benchmark.store.results import Results
from benchmark.trials.prepare import Chosen, pack_faces, read_au, standin_root


def write_sheet(
    out: Path,
    *,
    profile: str = "standin",
    overrides: Sequence[str] = (),
    renderers: Sequence[str] = (),
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> list[Path]:
    """Write `standin.md`: sample faces of each renderer, and the AUC of a linear probe on their pixels.

    Args:
        out: Folder of the page, made if missing.
        profile: A profile of the suite or a TOML file.
        overrides: Changes to the profile, `KEY=VALUE` each.
        renderers: Names of renderers; empty for all that are installed.
        cache: Folder of stand-ins.
        listener: Receives progress.

    Returns:
        The files written.

    Raises:
        UserError: A wrong setting, a renderer that is not installed, or a file that cannot be read or written.

    Example:
        >>> from pathlib import Path
        >>> files = write_sheet(Path("sheet"), profile="smoke")  # doctest: +SKIP
    """
    kept = last_of("results.parquet", out)
    shown = renderers or [name for name, renderer in RENDERERS.items() if renderer.is_installed]
    settings = [load_profile(profile, [*overrides, f"standin.renderer={name}"])[0] for name in shown]
    return write_standin_page(
        [_sheet(each, cache or default_cache(), listener) for each in settings],
        out,
        results=Results.read(kept) if kept.is_file() else None,
    )


def _sheet(settings: Profile, cache: Path, listener: Listener) -> Sheet:
    """Draw the stand-in of a profile, and probe its pixels."""
    chosen = Chosen.open(DEFAULT_AU, settings)
    root = standin_root(cache, settings, chosen.all, listener.progress)
    protocol = chosen.au.protocol_at(root)
    faces = read_au(root, chosen.au, protocol, settings, listener.progress)
    packed = pack_faces(faces, settings, cache, listener.progress)
    return Sheet(root, pixel_probe(packed, protocol, settings.data.crop_size), settings.standin)
