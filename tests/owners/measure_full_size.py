"""Minutes from a copy of BP4D with all its files to the first training step, by the commands that an owner types.

    python -m tests.owners.measure_full_size FOLDER

FOLDER is new and gets the copy (a few hundred MB) and the packed frames (27 GiB). The copy's RAF-DB is small, so the
run has --allow-incomplete. The network is a small one, since a step is not what is measured, and the run is stopped
once it has made steps.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import typer

from benchmark.trials.provenance import cpu_name
from tests.owners.full_size import write_full_size

SMALL = ("--set", "method.backbone=test_resnet", "--set", "method.weights=scratch", "--set", "train.steps=2000")
STEP = re.compile(r"stl part1 seed 0: \d+ of 2,?000")


def commands(data: Path, cache: Path, runs: Path) -> list[list[str]]:
    """Commands of an owner, from the look at the folder to the training."""
    of_data = ["bp4d", "--data", str(data)]
    places = ["--cache", str(cache)]
    one = ["--profile", "paper", "--method", "stl", "--part", "part1", "--seed", "0", "--allow-incomplete"]
    return [
        ["data", "doctor", str(data)],
        ["data", "check", *of_data, *places],
        ["data", "prepare", *of_data, *places, "--profile", "paper"],
        ["run", *of_data, *places, *one, *SMALL, "--runs", str(runs), "--checkpoint-every", "5"],
    ]


def minutes_of(arguments: list[str]) -> float:
    """Minutes that a command takes; of a run, until it has made steps.

    Raises:
        RuntimeError: The command ended with another status than 0, or 1 for what a check found, or a run ended.
    """
    start = time.monotonic()
    program = [sys.executable, "-m", "benchmark.cli", *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdout is not None
        said = []
        for line in running.stdout:
            said.append(line)
            if STEP.search(line):
                taken = time.monotonic() - start
                running.terminate()
                running.communicate()
                return taken / 60
    if running.returncode not in (0, 1) or arguments[0] == "run":
        raise RuntimeError(f"malbench {' '.join(arguments)} ended with {running.returncode}:\n{''.join(said[-20:])}")
    return (time.monotonic() - start) / 60


def main() -> None:
    """Write the copy and print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True)
    data = folder / "data"
    write_full_size(data)
    typer.echo(f"146,847 frames on {cpu_name()}")
    taken = []
    for arguments in commands(data, folder / "cache", folder / "runs"):
        taken.append(minutes_of(arguments))
        typer.echo(f"{taken[-1]:5.1f} min  malbench {' '.join(arguments)}")
    typer.echo(f"{sum(taken):5.1f} min in all, {len(taken)} commands")


if __name__ == "__main__":
    main()
