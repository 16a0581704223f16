"""Description of a method for lists: row, streams, parameters, settings, source."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

import torch

from benchmark.config.settings import Profile
from benchmark.trials.expand import method_hparams
from methods import Registry
from methods.base import Finished, Method, TaskSpec
from methods.build import SCRATCH


def describe(name: str, profile: Profile, registry: Registry) -> dict[str, Any]:
    """Description of a method under a profile, in JSON values. Nothing is downloaded or trained.

    Raises:
        UserError: No such method, or a wrong setting.
    """
    cls = registry.any(name)
    hparams = method_hparams(profile, name, registry)
    documentation = inspect.cleandoc(cls.__doc__ or "")
    citation = re.search(r"^Citation: (.+?)(?:\n\n|\Z)", documentation, flags=re.MULTILINE | re.DOTALL)
    return {
        "method": name,
        "paper_row": cls.paper_row,
        "place": "a control, for the stand-in alone" if cls.is_control else "beyond the paper",
        "version": cls.version,
        "streams": sorted(cls.streams),
        "prerequisites": {role: stage.name for role, stage in cls.prerequisites.items()},
        "parameters": count_parameters(cls, profile, registry),
        "summary": documentation.split("\n\n")[0].replace("\n", " "),
        "citation": " ".join(citation[1].split()) if citation is not None else "",
        "settings": {
            key: {
                "value": value,
                "meaning": " ".join((cls.HParams.model_fields[key].description or "").split()),
                "shared": key in Method.HParams.model_fields,
            }
            for key, value in hparams.model_dump(mode="json").items()
        },
    }


@dataclass(frozen=True)
class Outputs:
    """Numbers of outputs of a method's heads.

    Attributes:
        aus: Number of AUs, J.
        classes: Number of FE classes, Q.
    """

    aus: int = 12
    classes: int = 7


PAPER_OUTPUTS = Outputs()
"""BP4D's 12 AUs and RAF-DB's 7 classes."""


def count_parameters(cls: type[Method], profile: Profile, registry: Registry, outputs: Outputs = PAPER_OUTPUTS) -> int:
    """Number of parameters that a method trains at the profile's backbone."""
    hparams = method_hparams(profile, cls.name, registry)
    method = skeleton(cls, hparams, profile.data.crop_size, registry, outputs)
    return sum(p.numel() for p in method.parameters() if p.requires_grad)


def skeleton(
    cls: type[Method],
    hparams: Method.HParams,
    crop_size: int,
    registry: Registry,
    outputs: Outputs = PAPER_OUTPUTS,
) -> Method:
    """A method on the meta device: it has shapes but no numbers, so it takes no memory and reads no weights."""
    shared = {name: getattr(hparams, name) for name in Method.HParams.model_fields} | {"weights": SCRATCH}
    before = {
        role: skeleton(stage, stage.HParams.model_validate(shared), crop_size, registry, outputs)
        for role, stage in cls.prerequisites.items()
    }
    with torch.device("meta"):
        spec = TaskSpec(
            aus=tuple(f"AU{i + 1}" for i in range(outputs.aus)),
            emotions=tuple(f"class {i + 1}" for i in range(outputs.classes)),
            steps=1,
            au_val_labels=torch.zeros(1, outputs.aus, dtype=torch.int8),
            image_size=crop_size,
            prerequisites={role: Finished(stage.hparams, stage.state_dict()) for role, stage in before.items()},
        )
        return cls.build(hparams.model_copy(update={"weights": SCRATCH}), spec, torch.device("meta"))
