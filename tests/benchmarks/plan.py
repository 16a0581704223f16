"""Measurements of `nox -s bench`: a row is one form of a step at one size, on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from benchmark.report.cost import GRAPH_KEPT
from methods import discover
from methods.base import Method
from tests.benchmarks.boat import Boat
from tests.benchmarks.forms import FORMS, TorchOptKept

MTL, BY_US, KEPT, SLOW, TORCHOPT = "MTL", "MAL", "MAL, graph kept", "MAL by double backward", "MAL by TorchOpt"
FREE, FLOAT32 = "kernels as they come", "float32 in convolutions, too"
"""Options of a GPU: not the deterministic kernels that training asks for; no TF32 (PyTorch's default) in them."""
HIGHER, BOAT = "MAL by higher", "MAL by BOAT"
ALL = (MTL, *FORMS)
PEERS: dict[str, type[Method]] = {BOAT: Boat}
"""Forms that only the table of families has."""
CHANNELS_LAST = "channels_last"
RESNET34 = "resnet34"
FAMILIES = (
    RESNET34,
    "resnet50",
    "efficientnet_lite0",
    "mobilenetv3_small_100",
    "regnety_002",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "alexnet",
)
"""Backbones of the table of families, at a size that two cores can take."""
ONCE_DIFFERENTIABLE = {"mobilenetv3_small_100"}
"""Backbones with a layer, hard sigmoid, of which torch has no second derivative: no library can take a step of MAL."""
RETAIN = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "40000000000"}
"""glibc keeps freed memory in the process."""
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "200000"}
"""glibc gives every freed tensor back, so that the peak of the process counts tensors and no gaps between them."""


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        table: Where the report shows it: `step`, `options`, `curves`, `memory` (no times), `gpu` or `families`.
        form: MTL, or one of `FORMS` or `PEERS`.
        px: Side of the images.
        au: AU images of the batch.
        fe: FE images of the batch.
        val: AU validation images; MTL has none.
        amp: bf16 autocast.
        option: What is changed, in words; "" for nothing.
        device: `cpu` or `cuda`.
        backbone: Name of a model.
    """

    table: str
    form: str
    px: int
    au: int
    fe: int
    val: int
    amp: bool = False
    option: str = ""
    device: str = "cpu"
    backbone: str = RESNET34

    @property
    def other_form(self) -> str:
        """The option, if with it something else is computed than by the form; "" if it changes how alone."""
        return self.option if self.option == GRAPH_KEPT else ""

    @property
    def label(self) -> str:
        """A name for pytest."""
        words = [
            self.table,
            *([self.backbone] if self.table == "families" else []),
            self.form,
            f"{self.px}px",
            f"{self.au}+{self.fe}+{self.val}",
        ]
        return "-".join([*words, "bf16" if self.amp else "fp32", *([self.option] if self.option else [])])


def method_class(row: Row) -> type[Method]:
    """The method of a row."""
    if row.other_form:
        return TorchOptKept
    return discover()["mtl"] if row.form == MTL else {**FORMS, **PEERS}[row.form]


def plan() -> list[Row]:
    """All rows that this machine is to measure."""
    step = [Row("step", form, px, b, b, v) for px, b, v in ((64, 64, 256), (112, 16, 64)) for form in ALL]
    base = Row("options", BY_US, 64, 64, 64, 256)
    options = [
        *(replace(base, form=form, option="channels_last") for form in (MTL, BY_US)),
        *(replace(base, form=form, option="glibc keeps what is freed") for form in (MTL, BY_US, KEPT, TORCHOPT)),
        *(replace(base, form=form, amp=True, option="bf16") for form in (MTL, BY_US, SLOW, TORCHOPT)),
        replace(base, form=TORCHOPT, option=GRAPH_KEPT),
        replace(base, form=MTL, option="torch.compile"),
        replace(base, form=BY_US, option="running statistics"),
        replace(base, form=BY_US, option="running statistics, 64 validation images at a time"),
    ]
    sizes = ((16, 64), (32, 64), (64, 64), (32, 128), (32, 256))
    curves = [Row("curves", form, 64, b, b, v) for b, v in sizes for form in (MTL, BY_US, SLOW, TORCHOPT)]
    memory = [
        Row("memory", form, 224, 64, 64, 256, amp=amp) for amp in (False, True) for form in (MTL, BY_US, KEPT, SLOW)
    ]
    return [*step, *options, *curves, *memory, *families(), *(gpu() if torch.cuda.is_available() else [])]


def families() -> list[Row]:
    """MTL, MAL and the libraries on each backbone, and the first two with the channels last."""
    rows = []
    for backbone in FAMILIES:
        base = Row("families", MTL, 64, 16, 16, 32, backbone=backbone)
        libraries = () if backbone in ONCE_DIFFERENTIABLE else (HIGHER, TORCHOPT, BOAT)
        rows += [replace(base, form=form) for form in (MTL, BY_US, *libraries)]
        rows += [replace(base, form=form, option=CHANNELS_LAST) for form in (MTL, BY_US)]
    return rows


def gpu() -> list[Row]:
    """The paper's size on a GPU."""
    full = Row("gpu", BY_US, 224, 64, 64, 256, device="cuda")
    reduced = replace(full, amp=True)
    return [
        *(replace(full, form=form) for form in ALL),
        replace(full, form=TORCHOPT, option=GRAPH_KEPT),
        *(replace(reduced, form=form) for form in (MTL, BY_US, KEPT, SLOW)),
        *(replace(reduced, form=form, option="channels_last") for form in (MTL, BY_US)),
        *(replace(full, form=form, option=FLOAT32) for form in (MTL, BY_US)),
        replace(full, option=FREE),
    ]
