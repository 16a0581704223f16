"""Numbers of DISFA's landmark files: decided by names, faces or a setting, told in the note, and never guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.core.errors import UserError
from benchmark.datasets.disfa.reader import read_disfa
from benchmark.datasets.disfa.settings import DisfaSettings
from tests.owners import mock


def keep(root: Path, numbers: set[int]) -> None:
    """Delete all landmark files but those with these numbers."""
    for subject in mock.DISFA_PEOPLE:
        for file in (root / f"DISFA/Landmark_Points/{subject}/tmp_frame_lm").iterdir():
            if int(file.stem.split("_")[1]) not in numbers:
                file.unlink()


def test_which_landmark_file_is_first_is_decided_by_the_faces(tmp_path: Path) -> None:
    """Files 1 to 9 of ten frames: frame 1 has none, or the last has none."""
    for first in (0, 1):
        root = tmp_path / str(first)
        mock.disfa(root, first_mark=first)
        for subject in mock.DISFA_PEOPLE:
            folder = root / f"DISFA/Landmark_Points/{subject}/tmp_frame_lm"
            (folder / f"{subject}_{0 if first == 0 else 10:04d}_lm.mat").unlink()
        faces = read_disfa(root, alignment="landmarks")
        assert f"landmark files count from {first} for 6 subjects by the faces" in faces.note
        again = read_disfa(root, alignment="landmarks", settings=_numbered(first))
        assert faces.points is not None
        assert again.points is not None
        assert np.array_equal(faces.points, again.points)
        wrong = read_disfa(root, alignment="landmarks", settings=_numbered(1 - first))
        assert wrong.points is not None
        assert not np.array_equal(faces.points, wrong.points)


def _numbered(first: int):
    return DisfaSettings(landmark_numbers="from_1" if first else "from_0")


def test_where_too_few_frames_tell_the_user_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two landmark files of ten frames fit both readings."""
    mock.disfa(tmp_path)
    keep(tmp_path, {4, 5})
    monkeypatch.setattr("benchmark.datasets.disfa.landmarks.SAMPLE", 5)  # ten frames stand for a whole video
    with pytest.raises(UserError, match=r"set disfa\.landmark_numbers=from_0 or from_1"):
        read_disfa(tmp_path, alignment="landmarks")
    faces = read_disfa(tmp_path, alignment="landmarks", settings=_numbered(1))
    assert "landmark files count from 1 for 6 subjects by the setting" in faces.note


def test_a_sample_has_a_rule_that_the_note_tells(tmp_path: Path) -> None:
    mock.disfa(tmp_path)
    keep(tmp_path, {4, 5})
    faces = read_disfa(tmp_path, alignment="landmarks")
    assert "landmark files count from 0 for 6 subjects by the rule for samples" in faces.note


def test_files_as_usual_need_no_word_in_the_note(tmp_path: Path) -> None:
    mock.disfa(tmp_path, frames=3)
    assert "landmark files" not in read_disfa(tmp_path, alignment="landmarks").note


@pytest.mark.parametrize("labels", [9, 10])
def test_a_file_too_many_at_the_front_is_seen_also_beside_a_longer_video(labels: int, tmp_path: Path) -> None:
    """Ten frames, landmark files 0 to 10 of which the first is none; labels end with the video or a frame earlier."""
    mock.disfa(tmp_path, first_mark=1, extra_mark=True)
    if labels < 10:
        keep(tmp_path, set(range(labels + 1)))
        for file in (tmp_path / "DISFA/ActionUnit_Labels").rglob("*.txt"):
            file.write_text("".join(f"{f},0\n" for f in range(1, labels + 1)))
    faces = read_disfa(tmp_path, alignment="landmarks")
    assert "landmark files count from 1 for 6 subjects by the faces" in faces.note
