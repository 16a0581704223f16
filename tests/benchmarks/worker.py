"""A process that takes steps on request, so that a row's time and memory are its own.

`python -m tests.benchmarks.worker ROW`, ROW being a `plan.Row` as JSON. It says `ready`; then every line `step` is
answered by `done`, and `memory` by the peak above what was there before the first step, in MB.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import torch

from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.trials.provenance import peak_memory_mb, reset_peak_memory
from methods.base import Batch, Method, Samples, Stream, TaskSpec
from tests.benchmarks.plan import CHANNELS_LAST, FLOAT32, FREE, MTL, Row, method_class


def make(row: Row) -> tuple[Method, Batch]:
    """The method over ResNet-34 from random weights, ψ not zero, and a batch of noise; alike for all forms."""
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (256, len(BP4D.aus)), dtype=torch.int8)
    spec = TaskSpec(BP4D.au_names, EMOTIONS, 100, labels, amp=row.amp, image_size=row.px)
    cls, device = method_class(row), torch.device(row.device)
    settings: dict[str, object] = {"backbone": row.backbone}
    if row.option == CHANNELS_LAST:
        settings["memory_format"] = "channels_last"
    if row.option.startswith("running statistics"):
        settings |= {"val_batch_norm": "running", "val_chunk": 64 if "64" in row.option else 0}
    method = cls.build(cls.HParams.model_validate(settings), spec, device).train()
    if row.option == "torch.compile":
        method.net.backbone = torch.compile(method.net.backbone)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in method.named_parameters():
        if name.startswith("meta_net."):
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator).to(device)
    images = torch.randn(row.au + row.fe + row.val, 3, row.px, row.px, generator=generator).to(device)
    au, fe, val = images.split([row.au, row.fe, row.val])
    labels = labels.to(device)
    batch = {
        Stream.AU: Samples(au, labels[torch.arange(row.au) % 256]),
        Stream.FE: Samples(fe, torch.randint(0, 7, (row.fe,), generator=generator).to(device)),
    }
    if row.form != MTL:
        batch[Stream.AU_VAL] = Samples(val, labels[torch.arange(row.val) % 256])
    return method, batch


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(read: Callable[[], str], write: Callable[[str], None]) -> None:
    """Answer requests until there are none."""
    row = Row(**json.loads(sys.argv[1]))
    device = torch.device(row.device)
    if device.type == "cuda":
        torch.use_deterministic_algorithms(row.option != FREE, warn_only=True)  # as training does
        torch.utils.deterministic.fill_uninitialized_memory = False
        if row.option == FLOAT32:
            torch.backends.cudnn.allow_tf32 = False
    method, batch = make(row)
    # What the first kernels set up is not the step's: a pass over two images, no graph.
    with torch.no_grad():
        method.net(batch[Stream.AU].images[:1].expand(2, -1, -1, -1))
    wait_for(device)
    before = reset_peak_memory(device)
    write("ready")
    while request := read().strip():
        if request == "step":
            method.update(batch, 0)
            wait_for(device)
            write("done")
        else:
            write(str(peak_memory_mb(device) - before))


def say(text: str) -> None:
    """A line to the other process."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(2)
    main(sys.stdin.readline, say)
