"""Prediction of AUs on photographs and videos."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmark.api.grid import find_device
from benchmark.api.listener import SILENT, Listener
from benchmark.core.errors import UserError
from benchmark.core.machine import available_cores
from benchmark.core.places import default_runs
from benchmark.predict.choose import choose_trial
from benchmark.predict.crops import check_zoom
from benchmark.predict.media import find_media
from benchmark.predict.model import Model, load_model
from benchmark.predict.run import Predicted, predict_path
from benchmark.predict.work import Settings
from methods import discover


def load_predictor(trial: str = "", runs: Path | str | None = None, device: str = "auto") -> Model:
    """Load the network of a finished trial.

    Args:
        trial: Key of the trial, or the start of one; "" for the only one of the store.
        runs: The store; None for the default store.
        device: Device of the network.

    Returns:
        The model; `model.probabilities(frames)` gives (B, J) of packed frames.

    Raises:
        UserError: No such trial, several that fit, a damaged one, or no such device.

    Example:
        >>> from benchmark import api
        >>> api.load_predictor("b0cd", "runs").aus[:2]  # doctest: +SKIP
        ('AU1', 'AU2')
    """
    registry = discover()
    folder = choose_trial(default_runs() if runs is None else Path(runs), trial, registry)
    return load_model(folder, registry, find_device(device))


def predict(
    path: Path | str,
    out: Path | str,
    *,
    trial: str = "",
    runs: Path | str | None = None,
    settings: Settings | None = None,
    device: str = "auto",
    threads: int = 0,
    listener: Listener = SILENT,
) -> Predicted:
    """Predict the AUs of photographs and videos by a finished trial, and write table, pictures and page.

    Everything stays on this machine.

    Args:
        path: A photograph, a video, or a folder of both.
        out: Folder of the outputs: new, empty, or of an earlier prediction.
        trial: Key of the trial, or the start of one; "" for the only one of the store.
        runs: The store; None for the default store.
        settings: Rules, batch size and formats; None for the defaults.
        device: Device of the network.
        threads: CPU threads; 0 for all cores.
        listener: Receives progress.

    Returns:
        The table, the facts about it, and what was left out.

    Raises:
        UserError: Settings that contradict each other, no such trial or path, several trials that fit, no face, or no
            detector.

    Example:
        >>> from benchmark import api
        >>> api.predict("holiday/", "predictions", trial="b0cd").table  # doctest: +SKIP
    """
    settings = Settings() if settings is None else settings
    if settings.every < 1 or settings.batch_size < 1:
        raise UserError(
            "a number of a prediction is too small",
            expected="every and batch_size of 1 and more",
            found=f"every {settings.every}, batch_size {settings.batch_size}",
            remedy="give a larger number",
        )
    rules = settings.rules
    unused = {"--zoom": settings.zoom is not None, "--several": rules.several != "largest"}
    given = [option for option, is_given in (unused | {"--no-face": rules.no_face != "skip"}).items() if is_given]
    if settings.faces == "whole" and given:
        raise UserError(
            f"{given[0]} is for faces that are found, and --faces whole finds none",
            remedy=f"leave {given[0]} or --faces whole out",
        )
    # Before a network is chosen and loaded.
    check_zoom(settings.zoom)
    find_media(Path(path), Path(out))
    torch.set_num_threads(threads or available_cores())
    model = load_predictor(trial, runs, device)
    return predict_path(model, Path(path), Path(out), settings, listener.progress, note=listener.note)
