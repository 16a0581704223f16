"""What a method is, for lists: row, streams, parameters, settings, source."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch

from benchmark.config.profile import Profile
from benchmark.config.protocol import BP4D, EMOTIONS
from benchmark.trials.trial import method_hparams
from methods import Registry
from methods.backbone import SCRATCH
from methods.base import Finished, Method, TaskSpec


def describe(name: str, profile: Profile, registry: Registry) -> dict[str, Any]:
    """All that a list says of a method under a profile, as JSON can hold it. Nothing is downloaded or trained.

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


def count_parameters(cls: type[Method], profile: Profile, registry: Registry) -> int:
    """Parameters that a method trains at the profile's backbone, with BP4D's AUs."""
    return sum(p.numel() for p in _skeleton(cls, profile, registry).parameters() if p.requires_grad)


def _skeleton(cls: type[Method], profile: Profile, registry: Registry) -> Method:
    hparams = method_hparams(profile, cls.name, registry)
    return skeleton(cls, hparams, profile.data.crop_size, registry)


def skeleton(cls: type[Method], hparams: Method.HParams, crop_size: int, registry: Registry) -> Method:
    """A method without numbers: on the meta device no memory is taken and no weight is read."""
    shared = {name: getattr(hparams, name) for name in Method.HParams.model_fields} | {"weights": SCRATCH}
    before = {
        role: skeleton(stage, stage.HParams.model_validate(shared), crop_size, registry)
        for role, stage in cls.prerequisites.items()
    }
    with torch.device("meta"):
        spec = TaskSpec(
            aus=BP4D.au_names,
            emotions=EMOTIONS,
            steps=1,
            au_val_labels=torch.zeros(1, len(BP4D.aus), dtype=torch.int8),
            image_size=crop_size,
            prerequisites={role: Finished(stage.hparams, stage.state_dict()) for role, stage in before.items()},
        )
        return cls.build(hparams.model_copy(update={"weights": SCRATCH}), spec, torch.device("meta"))
