"""AUs, subjects and parts of DISFA (paper §4.1, Table 2)."""

from __future__ import annotations

from benchmark.config.protocol import Protocol

DISFA = Protocol(
    dataset="disfa",
    folder="DISFA",
    aus=(1, 2, 4, 6, 9, 12, 25, 26),
    parts={
        "part1": ("SN001", "SN002", "SN009", "SN010", "SN016", "SN026", "SN027", "SN030", "SN032"),
        "part2": ("SN006", "SN011", "SN012", "SN013", "SN018", "SN021", "SN024", "SN028", "SN031"),
        "part3": ("SN003", "SN004", "SN005", "SN007", "SN008", "SN017", "SN023", "SN025", "SN029"),
    },
    frames=130_814,
    sequences=27,
)
"""Parts as in the lists of JAA-Net, AU-Net and ME-GraphAU."""
