"""The work of a prediction: faces, probabilities, annotated pictures and videos, timelines."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from benchmark.config.settings import Align
from benchmark.core.errors import UserError
from benchmark.data.detect import Detector
from benchmark.predict.annotate import annotated, even
from benchmark.predict.crops import Cutter, Framing
from benchmark.predict.media import Media, read_photograph
from benchmark.predict.model import Model
from benchmark.predict.outputs import Outputs
from benchmark.predict.page import PICTURES, Shown, as_jpeg, embedded
from benchmark.predict.photographs import Rules, cut_photographs
from benchmark.predict.table import ACTIVE, face_row, prediction_table
from benchmark.predict.timeline import timeline
from benchmark.predict.video import Track, follow_face
from benchmark.report.figures import write_figure

Progress = Callable[[str, int, int], None]
"""Called with (name of the work, items done, items)."""
TableFormat = Literal["csv", "parquet"]
ANNOTATED, TIMELINES = "annotated", "timelines"
_ALIGNMENTS: dict[Align, str] = {
    "landmarks": "aligned on the landmarks of the dataset",
    "detected": "aligned on detected eyes and mouth",
    "as_is": "as they stand in their images",
}
LISTED = 8
"""Largest number of files of other kinds that the facts name."""
_QUALITY = 90
"""Quality of annotated JPEG files."""


@dataclass(frozen=True)
class Settings:
    """Settings of a prediction.

    Attributes:
        faces: Whether faces are found, or images are faces already.
        rules: Rules for photographs with several faces or none.
        zoom: Size of faces, as a multiple of that of aligned ones; None for the model's own.
        every: Distance of the frames of a video that are looked at.
        batch_size: Number of faces in a batch.
        table: Format of the table.
    """

    faces: Framing = "detect"
    rules: Rules = field(default_factory=Rules)
    zoom: float | None = None
    every: int = 1
    batch_size: int = 64
    table: TableFormat = "csv"


@dataclass
class Work:
    """One prediction: what it works with, and what it has noticed so far."""

    model: Model
    media: Media
    cutter: Cutter
    detector: Callable[[], Detector] | None
    settings: Settings
    progress: Progress
    outputs: Outputs
    no_face: list[str] = field(default_factory=list)
    several: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    pictures: list[Shown] = field(default_factory=list)
    timelines: list[Shown] = field(default_factory=list)
    drawn: int = 0

    @property
    def _is_alone(self) -> bool:
        """Whether there is one photograph or one video, and nothing else."""
        return len(self.media.photographs) + len(self.media.videos) == 1

    def photographs(self) -> pd.DataFrame:
        """Predict all photographs, and write their annotated copies."""
        rows: list[dict[str, object]] = []
        outlines: dict[str, npt.NDArray[np.float64]] = {}
        names = self.media.photographs

        def frames() -> Iterator[npt.NDArray[np.uint8]]:
            faces = cut_photographs(
                self.media.root, names, self.cutter, self.detector, self.settings.rules, alone=self._is_alone
            )
            for done, cut in enumerate(faces, start=1):
                outlines[cut.name] = cut.outlines
                if cut.fault:
                    self.faults[cut.name] = cut.fault
                elif not len(cut.frames):
                    self.no_face.append(cut.name)
                self.several += cut.detected > 1
                rows.extend(face_row(cut.name, i, outline) for i, outline in enumerate(cut.outlines, start=1))
                yield from cut.frames
                self.progress("predicting photographs", done, len(names))

        probabilities = self._over_batches(frames())
        table = prediction_table(rows, probabilities, self.model.aus)
        for done, (name, corners) in enumerate(outlines.items(), start=1):
            if name not in self.faults:
                values = probabilities[(table["source"] == name).to_numpy()]
                self._annotate(name, corners, values)
            self.progress("drawing photographs", done, len(outlines))
        return table

    def _annotate(self, name: str, corners: npt.NDArray[np.float64], values: npt.NDArray[np.float32]) -> None:
        picture = annotated(
            read_photograph(self.media.root / name), list(corners), values, self.model.aus, self.model.warning
        )
        if name.lower().endswith(".png"):
            content = io.BytesIO()
            Image.fromarray(picture).save(content, format="PNG")
            self.outputs.write(f"{ANNOTATED}/{name}", content.getvalue())
        else:
            self.outputs.write(f"{ANNOTATED}/{name}", as_jpeg(picture, _QUALITY))
        self._show(name, picture)

    def _show(self, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Put a picture on the page, unless that has its number."""
        self.drawn += 1
        if len(self.pictures) < PICTURES:
            self.pictures.append(embedded(name, as_jpeg(picture), "image/jpeg"))

    def video(self, name: str) -> pd.DataFrame:
        """Predict one video, and write its annotated copy and its timeline.

        One of several media that cannot be used is left out, as a photograph is.
        """
        try:
            track = follow_face(
                self.media.root / name,
                self.detector,
                self.settings.every,
                lambda done, total: self.progress(f"finding the face in {name}", done, total),
            )
        except UserError as error:
            if self._is_alone or self.settings.rules.no_face == "refuse":
                raise
            self.faults[name] = error.what
            return prediction_table([], self._over_batches(iter(())), self.model.aus)
        seen, outlines = track.seen, dict[int, npt.NDArray[np.float64]]()

        def frames() -> Iterator[npt.NDArray[np.uint8]]:
            for row, frame, outline in track.cut(self.cutter):
                outlines[row] = outline
                yield frame
                self.progress(f"predicting {name}", len(outlines), int(seen.sum()))

        probabilities = self._over_batches(frames())
        rows = [
            face_row(name, 1, outline, int(track.frames[row]), track.frames[row] / track.rate)
            for row, outline in outlines.items()
        ]
        table = prediction_table(rows, probabilities, self.model.aus)
        if not seen.all():
            self.no_face.append(f"{name}: {int((~seen).sum()):,} of {len(seen):,} frames")
        self._film(name, track, outlines, probabilities)
        self._draw_timeline(name, track, table)
        return table

    def _film(
        self,
        name: str,
        track: Track,
        outlines: dict[int, npt.NDArray[np.float64]],
        probabilities: npt.NDArray[np.float32],
    ) -> None:
        """Write the annotated video, without sound, and keep its middle picture with a face for the page."""
        aus, warning = self.model.aus, self.model.warning
        number_of = {row: number for number, row in enumerate(outlines)}
        middle = list(outlines)[len(outlines) // 2]
        target = self.outputs.path(f"{ANNOTATED}/{name if name.lower().endswith('.mp4') else f'{name}.mp4'}")
        writer = None
        try:
            for row, image in track.images():
                shown = [outlines[row]] if row in outlines else []
                values = probabilities[[number_of[row]] if shown else []]
                picture = even(annotated(image, shown, values, aus, warning))
                if writer is None:
                    size = (picture.shape[1], picture.shape[0])
                    code = cv2.VideoWriter.fourcc(*"mp4v")
                    writer = cv2.VideoWriter(str(target), code, track.rate / self.settings.every, size)
                    if not writer.isOpened():
                        raise UserError(
                            "the annotated video cannot be written",
                            where=target,
                            remedy="check that --out may be written, and that the disk is not full",
                        )
                writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
                if row == middle:
                    self._show(f"{name}, frame {int(track.frames[row])}", picture)
                self.progress(f"drawing {name}", row + 1, len(track.frames))
        finally:
            if writer is not None:
                writer.release()

    def _draw_timeline(self, name: str, track: Track, table: pd.DataFrame) -> None:
        aus = self.model.aus
        looked_at = pd.DataFrame({"frame": track.frames, "time_s": track.frames / track.rate})
        values = looked_at.merge(table[["frame", *aus]].astype({"frame": "int64"}), on="frame", how="left")
        figure = timeline(values, aus, name, self.model.warning)
        files = write_figure(figure, self.outputs.scratch / TIMELINES / name, dpi=150, kinds=("png", "svg"))
        self.outputs.written += [file.relative_to(self.outputs.scratch).as_posix() for file in files]
        self.timelines.append(embedded(name, files[1].read_bytes(), "image/svg+xml"))

    def _over_batches(self, frames: Iterator[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """Probabilities (N, J) of N packed frames."""
        made = [np.zeros((0, len(self.model.aus)), dtype=np.float32)]
        waiting: list[npt.NDArray[np.uint8]] = []
        for frame in frames:
            waiting.append(frame)
            if len(waiting) == self.settings.batch_size:
                made.append(self.model.probabilities(np.stack(waiting)))
                waiting.clear()
        if waiting:
            made.append(self.model.probabilities(np.stack(waiting)))
        return np.concatenate(made)

    def facts(self, detector: str) -> dict[str, str]:
        """Facts about model, data and rules, for readers."""
        trial, rules = self.model.trial, self.settings.rules
        alignment = _ALIGNMENTS[self.model.alignment]
        whole = self.detector is None
        others = ", ".join(self.media.others[:LISTED])
        photographs = f"several faces: {rules.several}; no face: {rules.no_face}"
        return {
            "model": f"{trial.label}, profile {trial.profile} (trial {trial.key})",
            "trained on": self.model.training,
            "faces in training": f"{alignment}, {trial.data.frame_size} px, centre crop of {trial.data.crop_size} px",
            "faces here": detector if whole else f"{detector}, aligned on eyes and mouth, zoom {self.cutter.zoom:g}",
            "rules": photographs + ("; a video follows one face" if self.media.videos else ""),
            "predicted on": f"photographs: {len(self.media.photographs)}, with several faces: {self.several}; "
            f"videos: {len(self.media.videos)}; files of other kinds, left out: {len(self.media.others)}"
            + (f", such as {others}" if others else ""),
            "without a face": "; ".join(self.no_face[:20]) or "none",
            "unusable": "; ".join(f"{name}: {why}" for name, why in list(self.faults.items())[:20]) or "none",
            "device": str(self.model.images.device),
            "probability": f"above {ACTIVE}, the model calls an action unit active",
            "privacy": "computed on this machine; nothing was uploaded, no metadata of the images was copied",
        }
