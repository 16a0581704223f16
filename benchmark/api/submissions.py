"""Rows from outside: predictions that others made, scored by the rules of the tables."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from benchmark.api.listener import SILENT, Listener
from benchmark.api.request import default_profile
from benchmark.config.profile import load_profile
from benchmark.config.protocol import Protocol
from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError, wrong_path
from benchmark.core.places import default_cache
from benchmark.data.faces import FaceSet
from benchmark.report.names import check_name
from benchmark.report.predictions import Predictions, check_beside, check_threshold, read_predictions
from benchmark.report.submitted import score_predictions
from benchmark.store.results import Results
from benchmark.submit.adapters import open_adapter
from benchmark.submit.base import Adapter, Scale
from benchmark.submit.matching import with_keys
from benchmark.submit.outputs import Outputs, read_outputs
from benchmark.submit.template import template_of
from benchmark.trials.prepare import Chosen, read_au, standin_root


def write_template(
    dataset: str,
    out: Path,
    *,
    profile: str = "",
    overrides: Sequence[str] = (),
    root: Path | None = None,
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> int:
    """Write the file of predictions to fill in: every test frame of a dataset, with an empty column an AU.

    Args:
        dataset: Name of the AU dataset.
        out: CSV file, or parquet file named `.parquet`.
        profile: See `load_data`.
        overrides: Changes to the profile.
        root: The data root; None: the stand-in.
        cache: Folder of stand-ins.
        listener: Receives progress.

    Returns:
        Number of frames.

    Raises:
        UserError: There is such a file already, or the data cannot be read.

    Example:
        >>> from pathlib import Path
        >>> write_template("bp4d", Path("mine.csv"))  # doctest: +SKIP
        3936
    """
    if out.exists():
        raise UserError(
            "the file of the template is there already",
            where=out,
            remedy="name another with --out, or delete it: it may hold predictions",
        )
    faces, protocol = _read(dataset, profile, overrides, root, cache, listener)
    table, content = template_of(faces, protocol), io.BytesIO()
    if out.suffix == ".parquet":
        table.to_parquet(content, index=False)
    else:
        table.to_csv(content, index=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, content.getvalue())
    return len(table)


def score_predictions_file(
    file: Path,
    dataset: str,
    name: str,
    *,
    beside: Path,
    threshold: float | None = None,
    program: str = "",
    profile: str = "",
    overrides: Sequence[str] = (),
    root: Path | None = None,
    cache: Path | None = None,
    listener: Listener = SILENT,
) -> Results:
    """Score predictions of every test frame of one or more parts.

    Args:
        file: CSV or parquet file of predictions; outputs of a program may be a folder.
        dataset: Name of the AU dataset.
        name: Name of the rows in the tables.
        beside: Results file on the same test frames.
        threshold: Threshold of the scores in columns `AU1`, ...: an AU is active above it. None: the scores are
            probabilities, and the threshold is 0.5. Of a program's outputs: threshold of the intensities; None: the
            program's own decisions.
        program: Adapter of the program that wrote the outputs; "" for a file with the suite's columns.
        profile: See `load_data`.
        overrides: Changes to the profile.
        root: The data root; None: the stand-in.
        cache: Folder of packed frames and stand-ins.
        listener: Receives progress, and what the outputs lack.

    Returns:
        Results with one trial per part that the predictions cover.

    Raises:
        UserError: A wrong name, setting or file, or nothing in `beside` has the same test labels.

    Example:
        >>> from pathlib import Path
        >>> beside = Path("reports/results.parquet")
        >>> score_predictions_file(Path("mine.csv"), "bp4d", "mine", beside=beside)  # doctest: +SKIP
    """
    # All that needs no frame comes first: the stand-in takes minutes to draw, a dataset to read.
    check_name(name)
    check_threshold(threshold)
    adapter = open_adapter(program) if program else None
    protocol = _protocol(dataset, profile, overrides, root)
    results = Results.read(beside)
    if adapter is None:
        if file.is_dir():
            raise wrong_path(file, "file", expected="predictions, one row a frame", remedy="name the file in it")
        predictions = read_predictions(file, name, protocol, results, threshold=threshold)
        faces, protocol = _read(dataset, profile, overrides, root, cache, listener)
        return score_predictions(predictions, faces, protocol, results)
    outputs = read_outputs(file, adapter, protocol, threshold)
    scale = adapter.scale(by_threshold=threshold is not None)
    for sentence in _remarks(outputs, adapter, scale, protocol):
        listener.note(sentence)
    check_beside(results, protocol, file)
    faces, protocol = _read(dataset, profile, overrides, root, cache, listener)
    keys, scores = with_keys(outputs, faces)
    about = {"program": adapter.title, "no_face": outputs.no_face}
    predictions = Predictions(file, name, outputs.digest, keys, scores, outputs.aus, about)
    return score_predictions(predictions, faces, protocol, results)


def _remarks(outputs: Outputs, adapter: Adapter, scale: Scale, protocol: Protocol) -> list[str]:
    """Facts about the outputs of a program that change what their scores mean."""
    said = [f"{adapter.title}: {scale.remark}"] if scale.remark else []
    if outputs.lacking:
        said.append(
            f"{adapter.title} does not give {', '.join(outputs.lacking)} of {protocol.dataset} here: shown as "
            "'-', as is the average"
        )
    if outputs.no_face:
        said.append(f"{outputs.no_face:,} rows without a face count as no active AU")
    if outputs.several:
        said.append(f"{outputs.several:,} images with several faces: one was chosen by {outputs.chosen_by}")
    return said


def _protocol(dataset: str, profile: str, overrides: Sequence[str], root: Path | None) -> Protocol:
    """Protocol of a dataset, which for the stand-in is that of the dataset itself."""
    settings, _ = load_profile(profile or default_profile(root), list(overrides))
    return Chosen.open(dataset, settings).protocol_at(root)


def _read(
    dataset: str,
    profile: str,
    overrides: Sequence[str],
    root: Path | None,
    cache: Path | None,
    listener: Listener,
) -> tuple[FaceSet, Protocol]:
    """Frames and protocol of a dataset, or of its stand-in."""
    settings, _ = load_profile(profile or default_profile(root), list(overrides))
    chosen = Chosen.open(dataset, settings)
    root = root or standin_root(cache or default_cache(), settings, chosen.all, listener.progress)
    faces = read_au(root, chosen.au, chosen.au.protocol_at(root), settings, listener.progress)
    return faces, chosen.protocol_at(root, set(faces.table["subject"]))
