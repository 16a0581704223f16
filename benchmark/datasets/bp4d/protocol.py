"""AUs, subjects and parts of BP4D (paper §4.1, Table 1).

Subject parts: the lists published with JAA-Net (github.com/ZhiwenShao/PyTorch-JAANet, data/list), which ME-GraphAU,
AU-Net and FG-Net share as sets. The same sets carry different fold numbers in different repositories, so a part is
always named by the subjects that are *tested* (ambiguity A15).
"""

from __future__ import annotations

from benchmark.config.protocol import Protocol

BP4D = Protocol(
    dataset="bp4d",
    folder="BP4D",
    aus=(1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24),
    parts={
        "part1": (
            "F001",
            "F002",
            "F008",
            "F009",
            "F010",
            "F016",
            "F018",
            "F023",
            "M001",
            "M004",
            "M007",
            "M008",
            "M012",
            "M014",
        ),
        "part2": (
            "F003",
            "F005",
            "F011",
            "F013",
            "F020",
            "F022",
            "M002",
            "M005",
            "M010",
            "M011",
            "M013",
            "M016",
            "M017",
            "M018",
        ),
        "part3": (
            "F004",
            "F006",
            "F007",
            "F012",
            "F014",
            "F015",
            "F017",
            "F019",
            "F021",
            "M003",
            "M006",
            "M009",
            "M015",
        ),
    },
    frames=146_847,
    sequences=328,
)
