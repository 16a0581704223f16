"""The trained network of a finished trial, and the facts about it that its predictions must be read with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmark import datasets
from benchmark.config.names import profile_names
from benchmark.config.profile import load_profile
from benchmark.config.protocol import ALL
from benchmark.config.settings import Align
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError
from benchmark.core.origin import Origin
from benchmark.core.words import counted
from benchmark.data.augment import ImageInput
from benchmark.store.folder import MODEL, TrialFolder
from benchmark.store.record import read_trial
from benchmark.trials.describe import Outputs, skeleton
from benchmark.trials.expand import profile_of
from methods import Registry
from methods.base import Method, Stream

SHORT = 0.5
"""Share of the profile's steps below which a model is called barely trained."""
STANDIN_WARNING = (
    "This model was trained on drawn faces (the stand-in). It is no AU detector of real faces: do not rely on "
    "its numbers for photographs."
)


@dataclass(frozen=True)
class Model:
    """A trained AU detector.

    Attributes:
        trial: The trial that trained it.
        made: Provenance of the trial.
        method: The trained method, in evaluation mode.
        images: Conversion of frames to network input, on the device of the method.
    """

    trial: Trial
    made: Mapping[str, Any]
    method: Method
    images: ImageInput

    @property
    def aus(self) -> tuple[str, ...]:
        """Names of the J AUs, in the order of the outputs."""
        return tuple(self.made["aus"])

    @property
    def origin(self) -> Origin:
        """Origin of the faces that it was trained on."""
        origin: Origin = self.made["origin"]
        return origin

    @cached_property
    def alignment(self) -> Align:
        """How the faces were aligned that it was trained on, by the profile and the settings of the dataset."""
        wanted = self.trial.data.alignment
        try:
            profile, _ = profile_of(self.trial, self.made)
            return datasets.open_au(self.trial.dataset, profile).alignment(wanted)
        except UserError:  # a dataset of a profile whose files are gone
            return wanted

    @property
    def warning(self) -> str:
        """The sentence that every output shows; "" for a model of real faces."""
        return STANDIN_WARNING if self.origin == "stand-in" else ""

    @property
    def training(self) -> str:
        """The data that trained the model, in words."""
        title = str(self.made.get("title", self.trial.dataset))
        people = "all people" if self.trial.part == ALL else f"without the people of {self.trial.part}, who tested it"
        kind = {"stand-in": "drawn faces in the layout of ", "partial": "a part of ", "complete": ""}[self.origin]
        expressions = f", and expression images of {self.made['fe_title']}" if Stream.FE in self.method.streams else ""
        before = [f"{made['method']} on {made['dataset']}" for made in self.made.get("prerequisites", {}).values()]
        after = f", after {' and '.join(before)}" if before else ""
        return f"{kind}{title}, {people}{expressions}; {self._steps_in_words}{after}"

    @property
    def _steps_in_words(self) -> str:
        """Steps of the training, and those of the profile where it has so many more that the model is no use."""
        made, profile = int(self.made.get("steps", 0)), self.trial.profile
        whole = 0
        if profile in profile_names():
            whole = load_profile(profile)[0].train.steps_over(int(self.made.get("frames", {}).get("train", 0)))
        short = f", barely trained: the profile {profile} has {whole:,}" if made < SHORT * whole else ""
        return f"{counted(made, 'step')}{short}"

    @torch.no_grad()
    def probabilities(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities (B, J) of frames, uint8 (B, S, S, 3) with S = `trial.data.frame_size`."""
        values: npt.NDArray[np.float32] = torch.sigmoid(self.logits(frames)).cpu().numpy()
        return values

    @torch.no_grad()
    def logits(self, frames: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Logits (B, J) of frames, as `probabilities`, by the centre crop of the tests."""
        return self.method.predict(self.images.test(frames)).float()


def load_model(folder: TrialFolder, registry: Registry, device: torch.device) -> Model:
    """Load the network of a finished trial. Nothing is downloaded, and no image of the trial is read.

    Args:
        folder: Folder of the trial.
        registry: All methods.
        device: Device of the network.

    Raises:
        UserError: The trial is damaged, or is of another version of the suite.
    """
    trial, made = read_trial(folder)
    cls = registry.any(trial.method)
    try:
        outputs = Outputs(len(made["aus"]), len(made["fe_labels"]))
        method = skeleton(cls, cls.HParams.model_validate(trial.hparams), trial.data.crop_size, registry, outputs)
        # The skeleton has no numbers yet, so the tensors of the file become its own.
        method.load_state_dict(folder.load_model(), assign=True)
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            "the network of a finished trial cannot be built",
            where=folder.path / MODEL,
            expected=f"a trial of {trial.method}, version {cls.version}",
            found=f"version {trial.method_version}: {str(error).splitlines()[0][:160]}",
            remedy="it is of another version of the suite: run the trial again",
        ) from error
    images = ImageInput(trial.data.crop_size, trial.data.normalise, device)
    return Model(trial, made, method.to(device).eval(), images)
