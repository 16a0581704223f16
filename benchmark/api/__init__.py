"""The suite as a library: load faces, train a method, run a grid, read results, write the report.

    from benchmark import api

    data = api.load_data("bp4d", profile="smoke")
    training = api.start_training("mal", data, backbone="resnet18")
    for _ in range(3):
        print(training.step())

The command line calls these functions, and nothing here calls the command line. Names are imported on first use, so
that `malbench status` starts without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.api.audit import audit_file, audit_trials
    from benchmark.api.checks import check_data
    from benchmark.api.data import LoadedData, load_data, write_standin
    from benchmark.api.doctor import diagnose
    from benchmark.api.grid import Grid, plan_grid, run
    from benchmark.api.prediction import load_predictor, predict
    from benchmark.api.request import Execution, GridRequest
    from benchmark.api.results import read_results, write_report
    from benchmark.api.training import Training, start_training
    from benchmark.api.verification import verify

_MODULE_OF = {
    "LoadedData": "data",
    "audit_file": "audit",
    "audit_trials": "audit",
    "check_data": "checks",
    "diagnose": "doctor",
    "load_data": "data",
    "write_standin": "data",
    "Execution": "request",
    "GridRequest": "request",
    "Grid": "grid",
    "plan_grid": "grid",
    "run": "grid",
    "load_predictor": "prediction",
    "predict": "prediction",
    "read_results": "results",
    "write_report": "results",
    "Training": "training",
    "start_training": "training",
    "verify": "verification",
}

__all__ = [
    "Execution",
    "Grid",
    "GridRequest",
    "LoadedData",
    "Training",
    "audit_file",
    "audit_trials",
    "check_data",
    "diagnose",
    "load_data",
    "load_predictor",
    "plan_grid",
    "predict",
    "read_results",
    "run",
    "start_training",
    "verify",
    "write_report",
    "write_standin",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
