"""Counts what became of the damaged inputs, for the end of the run."""

from __future__ import annotations

from collections import Counter

import pytest

OUTCOMES = pytest.StashKey[Counter[tuple[str, str]]]()


@pytest.fixture
def outcomes(request: pytest.FixtureRequest) -> Counter[tuple[str, str]]:
    """By (what was damaged, what became of it)."""
    return request.config.stash.setdefault(OUTCOMES, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(OUTCOMES, None)
    if not found:
        return
    terminalreporter.section("damaged inputs")
    kinds = sorted({outcome for _, outcome in found})
    names = sorted({name for name, _ in found})
    for name in [*names, "all"]:
        counts = [sum(n for (of, o), n in found.items() if o == kind and name in (of, "all")) for kind in kinds]
        told = ", ".join(f"{count} {kind}" for count, kind in zip(counts, kinds, strict=True))
        terminalreporter.write_line(f"{name:<24}{told}")
