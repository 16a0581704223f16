"""Time of a step at the paper's size on a GPU, in all ways that may make it shorter: ten minutes on one card.

`python -m tests.benchmarks.gpu` prints a table as it goes, in Markdown, and stops after `--minutes`. A way that cannot
run has its error in the table. On a CPU, with `--device cpu`, it shows that the ways run, and nothing of their time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.data.augment import ImageInput
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.trials.provenance import peak_memory_mb, reset_peak_memory
from methods import discover
from methods.base import Batch, Finished, Method, Samples, Stream, TaskSpec

STEPS_OF_A_FOLD = 43_500
FRAME = 256 / 224
"""Side of a packed frame, in sides of a crop."""


@dataclass(frozen=True)
class Way:
    """One way to take a step.

    Attributes:
        method: Name of a method.
        amp: Passes in bf16.
        channels_last: Images and weights with the channels last.
        compiled: The backbone compiled by torch.
        graphed: The whole step as one CUDA graph.
        fused: The optimiser's step in one kernel.
        deterministic: Deterministic kernels, as training asks for.
    """

    method: str
    amp: bool = False
    channels_last: bool = False
    compiled: bool = False
    graphed: bool = False
    fused: bool = False
    deterministic: bool = True

    @property
    def label(self) -> str:
        """The method, and what differs from training in float32."""
        named = {
            "bf16": self.amp,
            "channels last": self.channels_last,
            "torch.compile": self.compiled,
            "CUDA graph": self.graphed,
            "fused optimiser": self.fused,
            "kernels as they come": not self.deterministic,
        }
        return ", ".join([self.method, *(name for name, chosen in named.items() if chosen)])


@dataclass(frozen=True)
class Size:
    """Sizes of a step: the side of the images, and the images of each stream."""

    px: int = 224
    au: int = 64
    fe: int = 64
    val: int = 256
    backbone: str = "resnet34"


def ways() -> list[Way]:
    """All ways, what the aim of an hour a fold depends on first."""
    mal = Way("mal")
    fast = replace(mal, amp=True, channels_last=True)
    return [
        fast,
        Way("mtl", amp=True, channels_last=True),
        mal,
        replace(fast, deterministic=False),
        replace(fast, graphed=True),
        replace(fast, compiled=True),
        replace(fast, fused=True),
        replace(mal, amp=True),
        *(Way(name, amp=True, channels_last=True) for name in ("stl", "mtan", "l2t_ww")),
        *(Way(name) for name in ("stl", "mtl", "mtan", "l2t_ww")),
        *(Way(name, amp=True, channels_last=True, graphed=True) for name in ("stl", "mtl")),
        *(Way(name, amp=True, channels_last=True, compiled=True) for name in ("stl", "mtl")),
    ]


def learner(way: Way, size: Size, device: torch.device) -> tuple[Method, Batch]:
    """The method from random weights, and a batch of noise."""
    torch.manual_seed(0)
    registry, labels = discover(), torch.randint(0, 2, (size.val, len(BP4D.aus)), dtype=torch.int8)
    cls = registry[way.method]
    settings = {
        "backbone": size.backbone,
        "momentum": 0.9,
        "memory_format": "channels_last" if way.channels_last else "contiguous",
    }
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 100, labels, amp=way.amp, image_size=size.px)
    finished = {}
    for role, stage in cls.prerequisites.items():
        hparams = stage.HParams.model_validate(settings)
        finished[role] = Finished(hparams, stage.build(hparams, spec, device).state_dict())
    hparams = cls.HParams.model_validate(settings)
    method = cls.build(hparams, replace(spec, prerequisites=finished), device).train()
    if way.fused:
        method.optimizer = torch.optim.SGD(method.net.parameters(), hparams.lr, hparams.momentum, fused=True)
    if way.compiled:
        method.net.backbone = torch.compile(method.net.backbone)

    def images(count: int) -> Tensor:
        return torch.randn(count, 3, size.px, size.px, device=device)

    batch = {
        Stream.AU: Samples(images(size.au), labels[torch.arange(size.au) % size.val].to(device)),
        Stream.FE: Samples(images(size.fe), torch.randint(0, len(EMOTIONS), (size.fe,), device=device)),
        Stream.AU_VAL: Samples(images(size.val), labels.to(device)),
    }
    return method, {stream: batch[stream] for stream in cls.streams}


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Median seconds of a call, after three that do not count."""
    seconds = []
    for _ in range(3 + rounds):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return median(seconds[3:])


def captured(method: Method, batch: Batch) -> Callable[[], object]:
    """A step as one CUDA graph, after three plain ones on the stream that captures it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            method.update(batch, 0)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        method.update(batch, 0)
    return graph.replay


def step_row(way: Way, size: Size, device: torch.device, rounds: int) -> list[str]:
    """Cells of one way: time of a step, hours of a fold, peak memory; or why it does not run."""
    torch.use_deterministic_algorithms(way.deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        method, batch = learner(way, size, device)
        before = reset_peak_memory(device)
        step = captured(method, batch) if way.graphed else lambda: method.update(batch, 0)
        seconds = timed(step, device, rounds)
    except Exception as error:  # whatever torch says of a way is the result of that way
        return [way.label, f"{type(error).__name__}: {str(error).splitlines()[0][:100]}", "-", "-"]
    finally:
        torch.use_deterministic_algorithms(False)
    hours, memory = STEPS_OF_A_FOLD * seconds / 3600, peak_memory_mb(device) - before
    return [way.label, f"{1e3 * seconds:.1f}", f"{hours:.2f}", f"{memory / 1024:.1f}"]


def crops_on_device(frames: Tensor, rows: Tensor, px: int, rng: np.random.Generator) -> Tensor:
    """The crops of `ImageInput.train_crops`, cut where the packed frames lie: uint8 (B, px, px, 3).

    Args:
        frames: uint8 (N, S, S, 3).
        rows: Indices of the B frames of the batch.
        px: Side of a crop.
        rng: Generator of the batch.
    """
    count, side, device = len(rows), frames.shape[1], frames.device
    tops, lefts = rng.integers(0, side - px + 1, size=(2, count))
    flips = np.less(rng.random(count), 0.5)
    at = torch.arange(px, device=device)
    down = torch.from_numpy(tops).to(device)[:, None] + at
    across = torch.where(torch.from_numpy(flips).to(device)[:, None], at.flip(0), at)
    across = torch.from_numpy(lefts).to(device)[:, None] + across
    return frames[rows[:, None, None], down[:, :, None], across[:, None, :]]


def crop_rows(size: Size, device: torch.device, rounds: int) -> Iterator[list[str]]:
    """Cells of reading a batch: crops of the CPU that are copied, and crops of frames that lie on the device."""
    side, count = round(FRAME * size.px), size.au + size.fe + size.val
    frames: npt.NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (2 * count, side, side, 3), np.uint8)
    rows, there = np.arange(count) * 2, torch.from_numpy(frames).to(device)
    reader, places = ImageInput(size.px, "imagenet", device), torch.from_numpy(rows).to(device)

    def copied() -> Tensor:
        return reader.train(frames[rows], np.random.default_rng(1))

    def cut() -> Tensor:
        return reader.to_input(crops_on_device(there, places, size.px, np.random.default_rng(1)))

    assert torch.equal(copied(), cut())
    for label, work in (("batch: crops of the CPU", copied), ("batch: crops on the device", cut)):
        seconds = timed(work, device, rounds)
        yield [label, f"{1e3 * seconds:.1f}", f"{STEPS_OF_A_FOLD * seconds / 3600:.2f}", "-"]


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=10.0, help="no further way begins after this time")
    parser.add_argument("--rounds", type=int, default=20, help="steps that count")
    parser.add_argument("--way", action="append", default=[], help="only ways of this method; repeatable")
    parser.add_argument("--px", type=int, default=Size.px)
    parser.add_argument("--images", type=int, default=Size.au, help="AU, FE and a quarter of the validation images")
    parser.add_argument("--backbone", default=Size.backbone)
    options = parser.parse_args(given)
    device = torch.device(options.device)
    size = Size(options.px, options.images, options.images, 4 * options.images, options.backbone)
    ends = time.monotonic() + 60 * options.minutes

    def say(cells: Sequence[str]) -> None:
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
        sys.stdout.flush()

    named = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU: no times of a GPU"
    sys.stdout.write(f"{named}, torch {torch.__version__}; {size}\n\n")
    say(["way", "step (ms)", f"{STEPS_OF_A_FOLD:,} steps (h)", "peak memory (GiB)"])
    say([":-", "-:", "-:", "-:"])
    for cells in crop_rows(size, device, options.rounds):
        say(cells)
    for way in ways():
        if time.monotonic() > ends:
            say([way.label, "not measured: out of time", "-", "-"])
        elif not options.way or way.method in options.way:
            say(step_row(way, size, device, options.rounds))


if __name__ == "__main__":
    main()
