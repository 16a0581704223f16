"""Commands that need no tensor do not import torch; its import costs more than everything else of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "timm", "torchvision", "sklearn", "matplotlib")
SCRIPT = """
import sys, json
sys.argv = ["malbench", *json.loads(sys.argv[1])]
from benchmark.cli import main
status = 0
try:
    main()
except SystemExit as ended:
    status = ended.code or 0
print("MODULES", json.dumps([status, [name for name in json.loads(%r) if name in sys.modules]]))
"""


def heavy_imports(*arguments: str, cwd: Path) -> tuple[int, list[str]]:
    """Exit status of a command, and the heavy packages that it imported."""
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT % json.dumps(HEAVY), json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
    )
    status, modules = json.loads(ended.stdout.rpartition("MODULES ")[2])
    return status, modules


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("run", "--help"), 0),
        (("report", "--help"), 0),
        (("study", "--help"), 0),
        (("data", "check", "--help"), 0),
        (("rnu",), 2),
        (("run", "bp5d"), 2),
        (("run", "bp4d", "--method", "mla"), 2),
        (("run", "bp4d", "--profile", "smoek"), 2),
        (("run", "bp4d", "--set", "train.stepz=3"), 2),
        (("run", "bp4d", "--set", "gft.splitt=x"), 2),
        (("run", "bp4d", "--part", "part9"), 2),
        (("methods", "mla"), 2),
        (("data", "standin", "bp5d", "--out", "nowhere"), 2),
        (("status", "--runs", "."), 0),
        (("status", "--runs", "nowhere"), 2),
        (("datasets",), 0),
    ],
)
def test_no_heavy_import(arguments: tuple[str, ...], status: int, tmp_path: Path) -> None:
    found, modules = heavy_imports(*arguments, cwd=tmp_path)
    assert found == status
    assert modules == []
