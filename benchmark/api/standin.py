"""The quality sheet of the stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.config.profile import load_profile
from benchmark.config.settings import DEFAULT_AU
from benchmark.core.places import default_cache
from benchmark.data.probe import pixel_probe
from benchmark.report.standin import write_standin_page
from benchmark.store.results import Results
from benchmark.trials.prepare import Chosen, pack_faces, read_au, standin_root


def write_sheet(
    out: Path,
    *,
    profile: str = "standin",
    overrides: Sequence[str] = (),
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> list[Path]:
    """Write `standin.md`: sample faces, and the AUC of a linear probe on their pixels.

    Args:
        out: Folder of the page, made if missing.
        profile: A profile of the suite or a TOML file.
        overrides: Changes to the profile, `KEY=VALUE` each.
        cache: Folder of stand-ins.
        listener: Receives progress.

    Returns:
        The files written.

    Raises:
        UserError: A wrong setting, or a file that cannot be read or written.

    Example:
        >>> from pathlib import Path
        >>> files = write_sheet(Path("reports"), profile="smoke")  # doctest: +SKIP
    """
    settings, _ = load_profile(profile, list(overrides))
    cache, kept = cache or default_cache(), out / "results.parquet"
    chosen = Chosen.open(DEFAULT_AU, settings)
    root = standin_root(cache, settings, chosen.all, listener.progress)
    protocol = chosen.au.protocol_at(root)
    packed = pack_faces(
        read_au(root, chosen.au, protocol, settings, listener.progress), settings, cache, listener.progress
    )
    return write_standin_page(
        root,
        pixel_probe(packed, protocol, settings.data.crop_size),
        settings.standin.model_dump(),
        out,
        results=Results.read(kept) if kept.is_file() else None,
    )
