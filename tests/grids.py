"""Trials and faces for tests, in few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark import datasets
from benchmark.config.protocol import Protocol
from benchmark.config.settings import Profile
from benchmark.config.trial import Trial
from benchmark.data.faces import FaceSet
from benchmark.trials.expand import AuSource, Selection, Sources, StartSource, expand
from benchmark.trials.prepare import read_au, read_fe
from methods import Registry


def expanded(
    protocol: Protocol,
    profile: Profile,
    changed: tuple[str, ...],
    registry: Registry,
    prints: tuple[str, str],
    *,
    start: AuSource | None = None,
    renders: str = "",
    **selection: Any,
) -> list[Trial]:
    """Trials of a selection on data with these fingerprints."""
    begun = None
    if start is not None:
        settings = datasets.open_au(protocol.dataset, profile).start
        assert settings is not None
        begun = StartSource(start, settings.settings)
    sources = Sources(AuSource(protocol, prints), begun, renders)
    return expand(profile, changed, registry, sources, Selection(**selection))


def read_faces(root: Path, profile: Profile, dataset: str = "bp4d") -> tuple[FaceSet, FaceSet]:
    """Faces of an AU dataset and of the FE dataset at a data root."""
    au = datasets.open_au(dataset, profile)
    return read_au(root, au, au.protocol_at(root), profile), read_fe(root, datasets.open_fe(profile), profile)
