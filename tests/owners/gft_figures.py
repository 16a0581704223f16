"""Figures on detected faces: how many are found, how far their points are off, and what that does to a training.

`python -m tests.owners.gft_figures` writes GFT's stand-in as videos without landmarks, reads, detects, aligns and
trains. The same frames are trained on with their true points.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.api.data import LoadedData, load_data
from benchmark.api.training import start_training
from benchmark.data.align import Points
from benchmark.data.faces import FaceSet
from benchmark.data.probe import pixel_probe
from benchmark.trials.prepare import pack_faces
from benchmark.trials.scoring import score_test
from tests.owners import mock
from tests.owners.gft_videos import as_videos


def errors_of(found: FaceSet, truth: dict[tuple[str, int], Points]) -> tuple[np.ndarray, np.ndarray]:
    """True points (N, 4, 2) of the found frames, and the mean distance to them in distances of the eyes, (N,)."""
    assert found.points is not None
    rows = found.table[["subject", "frame"]].itertuples(index=False)
    true = np.stack([truth[str(subject), int(frame)] for subject, frame in rows])
    distance = np.linalg.norm(found.points - true, axis=2).mean(axis=1)
    return true, distance / np.linalg.norm(true[:, 1] - true[:, 0], axis=1)


def scores_after(data: LoadedData, steps: int, seeds: int) -> list[tuple[float, float]]:
    """Mean F1 and mean AUC over AUs of short trainings of STL, one a seed."""
    scores = []
    for seed in range(seeds):
        training = start_training("stl", data, seed=seed)
        training.steps(steps)
        assert training.setup.fold is not None
        tables = score_test(
            training.trial, training.method, training.setup.images, data.frames.au, training.setup.fold, lambda: False
        )
        table = tables["scores.parquet"]
        scores.append((100 * float(table["f1"].mean()), float(table["auc"].mean())))
    return scores


def main(frames: int, steps: int, seeds: int) -> None:
    """Print the figures.

    Args:
        frames: Number of frames of each of the 96 participants.
        steps: Number of steps of a training.
        seeds: Number of trainings.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "data"
        truth = as_videos(root, size=96, frames=frames)
        mock.rafdb(root)
        overrides, cache = ["gft.alignment=detected"], Path(scratch) / "cache"
        data = load_data("gft", profile="standin", overrides=overrides, root=root, cache=cache, allow_incomplete=True)
        found = data.frames.au.faces
        true, error = errors_of(found, truth)
        say = [found.note, f"points: median error {np.median(error):.3f}, 95 % below {np.quantile(error, 0.95):.3f}"]
        packed = pack_faces(replace(found, points=true.astype(np.float32)), data.profile, cache)
        right = replace(data, frames=replace(data.frames, au=packed))
        for name, kind in (("detected points", data), ("true points", right)):
            probe = pixel_probe(kind.frames.au, kind.protocol, kind.profile.data.crop_size)["auc"].mean()
            trained = scores_after(kind, steps, seeds)
            scores = ", ".join(f"F1 {f1:.1f} AUC {auc:.3f}" for f1, auc in trained)
            say.append(f"{name}: linear probe AUC {probe:.3f}; STL after {steps} steps: {scores}")
        sys.stdout.write("\n".join(say) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.frames, arguments.steps, arguments.seeds)
