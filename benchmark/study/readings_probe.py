"""The readings' probe: some steps of MAL under each of its readings, on training people alone.

No frame and no label of a test subject is used. A fifth of the training subjects is held out; their frames stand for
people whom the method has not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config.protocol import Protocol
from benchmark.config.trial import Trial
from benchmark.data.sampling import Fold, Indices, generator, reserve
from benchmark.data.trial_data import TrialData
from benchmark.study.readings import (
    HELD_OUT_SHARE,
    LOOKS,
    MOST_HELD_FRAMES,
    WEIGHED_IMAGES,
    Floats,
    Range,
    ReadingRow,
    central,
    extrapolated_linearly,
    extrapolated_wandering,
    relative_weights,
    weights_of,
)
from benchmark.trials.setup import Setup, set_up
from benchmark.trials.trainer import EXPLODED, seeded, take_step
from methods.backbone import batch_norm_buffers_untouched
from methods.base import Method, Samples, Scalars
from methods.mal import MAL, MetaNet
from methods.meta_gradient import Params
from methods.mtl import MTL

HELD_OUT = "held out"
"""Name of the part of the held-out people."""


@dataclass(frozen=True)
class Split:
    """Training people of one test part, and those of them who are held out.

    Attributes:
        protocol: Protocol whose one part is that of the held-out people.
        data: Frames of training people.
        learning: Number of subjects that are learned from.
        held_out: Number of held-out subjects.
    """

    protocol: Protocol
    data: TrialData
    learning: int
    held_out: int


def split_training_people(protocol: Protocol, data: TrialData, part: str, seed: int) -> Split:
    """Leave the test people of a part out, and hold out a fifth of the others.

    Args:
        protocol: Protocol of the AU dataset.
        data: The frames, those of test people among them.
        part: Test part.
        seed: Seed of the choice.
    """
    tested = set(protocol.parts[part])
    people = sorted(set(data.au.faces.table["subject"]) - tested)
    drawn = generator(seed, "readings", "held out").permutation(people)
    held = sorted(map(str, drawn[: max(1, round(HELD_OUT_SHARE * len(people)))]))
    learning = sorted(set(people) - set(held))
    split = protocol.model_copy(update={"parts": {HELD_OUT: tuple(held)}, "train_only": tuple(learning)})
    return Split(split, replace(data, au=data.au.of_subjects(people)), len(learning), len(held))


def budget_of(trial: Trial, split: Split) -> tuple[int, int]:
    """Steps of a trial of the profile, which learns from all training people, and size of its reserve."""
    subjects = split.data.au.faces.table["subject"].to_numpy()
    everyone, settings = np.arange(len(subjects)), trial.data
    kept = reserve(subjects, everyone, trial.seed, fraction=settings.val_fraction, minimum=settings.val_minimum)
    return trial.train.steps_over(len(everyone) - len(kept)), len(kept)


@dataclass(frozen=True)
class Looker:
    """Weights and validation gradients of a method during its training, which they do not change.

    Attributes:
        method: The method.
        data: Frames of training people.
        setup: Split into rows, and network input.
        held: Rows of the held-out frames in a gradient.
        weighed: Rows of AU frames, and of FE images, whose weights are followed.
        chunk: Largest number of images in one validation pass.
    """

    method: MAL
    data: TrialData
    setup: Setup
    held: Indices
    weighed: tuple[Indices, Indices]
    chunk: int

    def weight_logits(self) -> Floats:
        """Logits of the weights of the followed images, AU images first, with the statistics of their batch."""
        au, fe = (
            self.setup.images.test(packed.frames[rows])
            for packed, rows in zip((self.data.au, self.data.fe), self.weighed, strict=True)
        )
        with torch.no_grad(), batch_norm_buffers_untouched(self.method.net):
            features = self.method.net(au, fe).features
            assert isinstance(self.method.meta_net, MetaNet)
            logits: Tensor = self.method.meta_net.linear(features.float()).squeeze(1)
        return np.asarray(logits.double().cpu())

    def meta_norm(self) -> float:
        """|∇ψ| of the last update."""
        of_psi = [p.grad.flatten() for p in self.method.meta_net.parameters() if p.grad is not None]
        return float(torch.cat(of_psi).norm())

    def cosine(self) -> float:
        """Cosine of the gradient of L_val on the reserve with that on frames of held-out people."""
        assert self.setup.fold is not None
        ours, theirs = (self.val_gradient(rows) for rows in (self.setup.fold.val, self.held))
        return cosine(ours, theirs)

    def val_gradient(self, rows: Indices) -> Params:
        """∇_θ L_val on the centre crops of some rows, in passes of at most `chunk` images of about the same number."""
        au, method = self.data.au, self.method
        theta: Params = dict(method.net.named_parameters())
        statistics, mean = method.running_statistics(), dict[str, Tensor]()
        for some in np.array_split(rows, math.ceil(len(rows) / self.chunk)):
            images = self.setup.images.test(au.frames[some])
            labels = torch.from_numpy(au.faces.labels[some]).to(images.device)
            _, gradient = method.val_gradient(theta, Samples(images, labels), statistics)
            for name, g in gradient.items():
                mean[name] = mean.get(name, torch.zeros_like(g)) + g * (len(some) / len(rows))
        return mean


@dataclass
class Course:
    """Course of one training.

    Attributes:
        steps: Updates done.
        step_norms: Norm of each update of θ.
        meta_norms: Norm of ∇ψ of each update; none for a method without ψ.
        look_steps: Updates before each look.
        logits: Logits of the weights of the followed AU images, then of the FE images, (A + E,) for each look.
        cosines: Cosine of the reserve's gradient with that of held-out people, for each look.
    """

    steps: int = 0
    step_norms: list[float] = field(default_factory=list)
    meta_norms: list[float] = field(default_factory=list)
    look_steps: list[int] = field(default_factory=list)
    logits: list[Floats] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)


def train(trial: Trial, method: Method, setup: Setup, steps: int, looker: Looker | None = None) -> Course:
    """Update a method some times and note the size of each update; stop before a loss that diverges.

    Args:
        trial: Gives the seed.
        method: The method.
        setup: Its batches.
        steps: Number of updates.
        looker: Looks at the method from time to time; None for no look.
    """
    course, looks = Course(), look_steps(steps)
    method.train()
    for step, batch in enumerate(setup.streams.batches(method.streams, 0, steps)):
        before = _flat(method.net)
        if _has_diverged(take_step(trial, method, batch, step)):
            break
        course.steps = step + 1
        course.step_norms.append(float((_flat(method.net) - before).norm()))
        if looker is None:
            continue
        course.meta_norms.append(looker.meta_norm())
        if course.steps in looks:
            course.look_steps.append(course.steps)
            course.logits.append(looker.weight_logits())
            course.cosines.append(looker.cosine())
    return course


def _flat(net: nn.Module) -> Tensor:
    """Copy of all parameters as one vector."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def _has_diverged(scalars: Scalars) -> bool:
    return not all(math.isfinite(value) and abs(value) <= EXPLODED for value in map(float, scalars.values()))


def look_steps(steps: int) -> list[int]:
    """Numbers of updates before the looks: evenly spaced, the last at the end."""
    return sorted({round(number * steps / LOOKS) for number in range(1, LOOKS + 1)} - {0})


def cosine(a: Params, b: Params) -> float:
    """Cosine of two gradients of the same parameters; NaN if one of them is zero."""
    flat_a, flat_b = (torch.cat([p[name].flatten().double() for name in a]) for p in (a, b))
    length = flat_a.norm() * flat_b.norm()
    return float(flat_a @ flat_b / length) if length > 0 else math.nan


@dataclass(frozen=True)
class ReadingsProbe:
    """Trainings of one seed, which see the same batches.

    Attributes:
        trial: A trial of MAL; gives budget, sizes and seed.
        split: The frames.
        device: Device of the trainings.
        steps: Updates of each training.
        end: Step that weights are extrapolated to.
    """

    trial: Trial
    split: Split
    device: torch.device
    steps: int
    end: int

    @cached_property
    def setup(self) -> Setup:
        """Rows and batches of MAL."""
        return self._set_up(MAL)

    @property
    def fold(self) -> Fold:
        """Rows that are learned from, the reserve, and the rows of held-out people."""
        assert self.setup.fold is not None
        return self.setup.fold

    def _set_up(self, cls: type[Method]) -> Setup:
        trial = self.trial.model_copy(update={"part": HELD_OUT})
        return set_up(trial, cls, self.split.protocol, self.split.data, self.device)

    def train_mtl(self, hparams: MTL.HParams) -> Course:
        """Train MTL.

        Raises:
            UserError: The split leaves too few frames on a side, or the network cannot be built.
        """
        setup = self._set_up(MTL)
        with seeded(self.trial.seed, self.device):
            return train(self.trial, MTL.build(hparams, setup.spec, self.device), setup, self.steps)

    def train_reading(self, name: str, hparams: MAL.HParams, of_mtl: Course) -> ReadingRow:
        """Train MAL under a reading, and measure.

        Args:
            name: Name of the reading.
            hparams: Its settings.
            of_mtl: Result of `train_mtl`.

        Raises:
            UserError: The split leaves too few frames on a side, or the network cannot be built.
        """
        with seeded(self.trial.seed, self.device):
            looker = self.looker(MAL.build(hparams, self.setup.spec, self.device))
            course = train(self.trial, looker.method, self.setup, self.steps, looker)
        return ReadingRow(
            reading=name,
            val_batch_norm=hparams.val_batch_norm,
            seed=self.trial.seed,
            steps=course.steps,
            meta_gradient=_mean(course.meta_norms),
            step_ratio=_mean(course.step_norms) / _mean(of_mtl.step_norms[: course.steps]),
            cosine=_mean(course.cosines),
            **_weight_ranges(course, len(looker.weighed[0]), self.end),
        )

    def looker(self, method: MAL) -> Looker:
        """Look at a method on frames that are drawn from the seed."""
        seed, everyone = self.trial.seed, np.arange(len(self.split.data.fe.faces))
        return Looker(
            method,
            self.split.data,
            self.setup,
            held=some_rows(self.fold.test, MOST_HELD_FRAMES, seed, "held out"),
            weighed=(
                some_rows(self.fold.train, WEIGHED_IMAGES, seed, "au"),
                some_rows(everyone, WEIGHED_IMAGES, seed, "fe"),
            ),
            chunk=self.trial.train.batch_val,
        )


def with_val_batch_norm(hparams: MAL.HParams, kind: str) -> MAL.HParams:
    """The same settings with another batch normalisation of the validation pass."""
    chunk = hparams.val_chunk if kind == "running" else 0
    return MAL.HParams.model_validate({**hparams.model_dump(), "val_batch_norm": kind, "val_chunk": chunk})


def _weight_ranges(course: Course, n_au: int, end: int) -> dict[str, Range]:
    """Ranges of the weights at step `end`; NaN for a training that diverged before the first look."""
    if not course.logits:
        return dict.fromkeys(("au", "fe", "relative", "wandering"), Range(math.nan, math.nan))
    logits = np.stack(course.logits)
    linear = extrapolated_linearly(course.look_steps, logits, end)
    return {
        "au": central(weights_of(linear[:n_au])),
        "fe": central(weights_of(linear[n_au:])),
        "relative": central(relative_weights(linear)),
        "wandering": central(relative_weights(extrapolated_wandering(course.look_steps, logits, end))),
    }


def some_rows(rows: Indices, most: int, seed: int, name: str) -> Indices:
    """At most `most` of some rows, drawn from the seed, in ascending order."""
    return np.sort(generator(seed, "readings", name, "rows").permutation(rows)[:most])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
