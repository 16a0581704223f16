"""`complete` is the word for data that verdicts are about: no fault, and the known frames are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.api import data as api_data
from benchmark.core.errors import UserError
from benchmark.data.findings import Finding, Report
from benchmark.data.placement import in_place, inside_share
from benchmark.datasets.bp4d.reader import read_bp4d
from benchmark.datasets.bp4d.selection import Listed
from benchmark.datasets.disfa.reader import read_disfa
from tests.owners import mock


def protocol_of_the_mock(frames: int):
    parts = {part: tuple(sorted(set(people) & set(mock.PEOPLE))) for part, people in mock.BP4D.parts.items()}
    return mock.BP4D.model_copy(update={"parts": parts, "frames": frames, "sequences": 12})


def test_a_copy_with_faults_is_never_complete(tmp_path: Path) -> None:
    mock.bp4d(tmp_path)
    faces = read_bp4d(tmp_path, protocol_of_the_mock(48), alignment="landmarks")
    assert faces.origin == "complete"
    faulty = Report((), (Finding("AUs occur more or less often than known"),))
    with pytest.raises(UserError, match="the data are incomplete"):
        api_data._refuse_faults(faulty, tmp_path, "bp4d")
    used = api_data._noted(faces, faulty)
    assert used.origin == "partial"
    assert "run with --allow-incomplete: 1 fault of" in used.note
    api_data._refuse_faults(Report(), tmp_path, "bp4d")
    assert api_data._noted(faces, Report()).origin == "complete"


def test_complete_counts_the_frames_that_are_used(tmp_path: Path) -> None:
    """Labels of all frames, and landmarks of one sequence alone."""
    mock.bp4d(tmp_path)
    protocol = protocol_of_the_mock(48)
    whole = read_bp4d(tmp_path, protocol, alignment="landmarks")
    few = Listed({"F001/T1": frozenset(whole.table["frame"][:1])})
    one = read_bp4d(tmp_path, protocol, alignment="landmarks", selection=few)
    assert (len(one), one.origin) == (1, "partial")
    for path in sorted((tmp_path / "BP4D/Sequences(2D+3D)").rglob("*.jpg"))[::2]:
        path.unlink()
    assert read_bp4d(tmp_path, protocol, missing="leave_out").origin == "partial"


def test_a_crop_with_the_landmarks_of_its_frame_is_out_of_place() -> None:
    eyes = np.array([[[400, 500], [600, 500], [420, 700], [580, 700]]], dtype=np.float32)
    assert in_place(eyes, (1040, 1392)).tolist() == [True]
    assert inside_share(eyes, (1040, 1392)).tolist() == [1.0]
    assert in_place(eyes, (512, 512)).tolist() == [False]
    # Half of the square is left of the image.
    shifted = eyes - np.array([[[500, 0]]], dtype=np.float32)
    assert inside_share(shifted, (1040, 1392))[0] == pytest.approx(0.5, abs=0.04)


def test_a_video_short_of_its_header_drops_the_tail_and_counts_it(tmp_path: Path) -> None:
    mock.disfa(tmp_path)
    video = tmp_path / "DISFA/Videos_LeftCamera/LeftVideoSN001_comp.avi"
    content = video.read_bytes()
    last = content.rfind(b"00dc", 0, content.rfind(b"idx1"))
    video.write_bytes(content[: last + 20])  # the last frame is cut
    faces = read_disfa(tmp_path, alignment="landmarks")
    counted = faces.table.groupby("subject")["frame"].size()
    assert counted["SN001"] in {8, 9}
    assert counted.drop("SN001").eq(10).all()
    assert f"{10 - counted['SN001']} labels without a frame" in faces.note
