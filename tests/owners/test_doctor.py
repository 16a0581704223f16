"""`malbench data doctor` and `data prepare`: what an owner sees before the first training."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.api.data import load_data
from benchmark.api.doctor import diagnose
from benchmark.api.listener import SILENT
from benchmark.api.looks import look_at, refuse_strange
from benchmark.cli import app
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.datasets import open_au
from benchmark.trials.prepare import read_au
from tests.owners import mock


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, (SystemExit, UserError)), result.exception
    return result.exit_code, result.output + (str(result.exception) if isinstance(result.exception, UserError) else "")


def test_all_four_datasets_are_recognised_with_their_next_commands(tmp_path: Path) -> None:
    mock.bp4d(tmp_path / "data")
    mock.disfa(tmp_path / "data")
    mock.gft(tmp_path / "data")
    mock.rafdb(tmp_path / "data")
    seen = {d.name: d for d in diagnose(tmp_path)}
    assert set(seen) == {"bp4d", "disfa", "gft", "rafdb"}
    assert all(d.sighting.readable and d.root == tmp_path / "data" for d in seen.values())
    assert seen["bp4d"].steps[0] == f"malbench data check bp4d --data {tmp_path / 'data'} --set data.missing=leave_out"
    assert "coding files: 12 of 328" in seen["bp4d"].sighting.parts
    assert "subjects with frames: left camera 6, right camera 0" in seen["disfa"].sighting.parts


def test_a_folder_of_another_name_gets_a_link(tmp_path: Path) -> None:
    mock.bp4d(tmp_path, home="my (own) bp4d")
    mock.rafdb(tmp_path / "downloads")
    _, text = run("data", "doctor", tmp_path)
    links = [line.removeprefix("  next: ") for line in text.splitlines() if line.startswith("  next: ln")]
    assert [shlex.split(link) for link in links] == [
        ["ln", "-s", str(tmp_path / "my (own) bp4d"), str(tmp_path / "BP4D")],
        ["ln", "-s", str(tmp_path / "downloads/RAF-DB"), str(tmp_path / "RAF-DB")],
    ]
    for link in links:
        subprocess.run(link, shell=True, check=True)  # the printed line is what a shell takes
    assert diagnose(tmp_path)[0].sighting.readable
    assert (tmp_path / "BP4D/AUCoding").is_dir()
    assert (tmp_path / "RAF-DB/basic").is_dir()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda r: [(r / "BP4D").mkdir(), (r / "BP4D/F001.zip").write_bytes(b"PK")], "F001.zip is not unpacked"),
        (lambda r: mock.disfa(r, footage="Videos_RightCamera/RightVideo{s}_comp.avi"), "disfa.camera=right"),
        (lambda r: [mock.gft(r), (r / "GFT/split.csv").unlink()], "gft.split=inferred"),
        (lambda r: (r / "holidays").mkdir(), "no dataset is recognised"),
    ],
    ids=["archives", "right camera", "no split", "something else"],
)
def test_what_is_wrong_is_said_with_status_1(make, words: str, tmp_path: Path) -> None:
    make(tmp_path)
    status, text = run("data", "doctor", tmp_path)
    assert (status, words in text) == (1, True), text


def test_nothing_usable_is_a_finding_in_json_too(tmp_path: Path) -> None:
    mock.rafdb(tmp_path)
    (tmp_path / "BP4D").mkdir()
    (tmp_path / "BP4D/F001.zip").write_bytes(b"PK")
    status, text = run("data", "check", "bp4d", "--data", tmp_path, "--json")
    content = json.loads(text)
    assert (status, content["passed"]) == (1, False)
    assert content["findings"][0]["what"] == "F001.zip is not unpacked"
    assert [step.split()[2] for step in content["next"]] == ["doctor", "check"]


SMALL = ("--set", "data.frame_size=48", "--set", "data.crop_size=40")


def test_prepare_writes_a_contact_sheet_and_warns_of_grey_frames(tmp_path: Path) -> None:
    copy = mock.bp4d(tmp_path / "data")
    mock.rafdb(tmp_path / "data")
    where = ("--data", copy.root, "--cache", tmp_path / "cache")
    status, text = run("data", "prepare", "bp4d", *where, *SMALL)
    assert status == 0
    assert "faults in `malbench data check bp4d`, which stop a run" in text
    assert "0 flat, 0 dark, 0 without texture of 48 frames" in text
    assert "look at the contact sheets before you train" in text
    sheet = next((tmp_path / "cache/contact").glob("bp4d-*.png"))
    with Image.open(sheet) as image:
        assert image.size == (8 * 128, 5 * 144)
    for k, path in enumerate(sorted((copy.root / "BP4D").rglob("*.jpg"))):
        if k % 5 == 0:
            Image.fromarray(np.full((1392, 1040, 3), 128, dtype=np.uint8)).save(path)
    status, text = run("data", "prepare", "bp4d", *where, *SMALL)
    assert "WARNING, a run refuses this: the packed frames of BP4D do not look like faces" in text
    loaded = load_data(
        "bp4d",
        profile="paper",
        overrides=[word for word in SMALL if word != "--set"],
        root=copy.root,
        cache=tmp_path / "cache",
        allow_incomplete=True,
    )
    assert " flat, 0 dark, 0 without texture of 48 packed frames" in loaded.frames.au.faces.note
    looked = look_at(loaded.frames.au, tmp_path / "cache", SILENT)
    with pytest.raises(UserError, match="do not look like faces") as caught:
        refuse_strange(looked, allow_incomplete=False)
    assert caught.value.found == f"contact sheet: {looked.sheet}"
    complete = replace(looked, packed=replace(looked.packed, faces=replace(looked.packed.faces, origin="complete")))
    assert refuse_strange(complete, allow_incomplete=True).faces.origin == "partial"


def test_missing_frames_are_left_out_by_rule_and_counted(tmp_path: Path) -> None:
    mock.bp4d(tmp_path)
    images = sorted((tmp_path / "BP4D/Sequences(2D+3D)/F001/T1").glob("*.jpg"))
    images[2].unlink()
    strict, _ = load_profile("paper", [])
    lenient, _ = load_profile("paper", ["data.missing=leave_out"])
    with pytest.raises(UserError, match="coded frames without an image: 1"):
        read_au(tmp_path, open_au("bp4d", strict), mock.BP4D, strict)
    faces = read_au(tmp_path, open_au("bp4d", lenient), mock.BP4D, lenient)
    assert len(faces) == 47
    assert "1 left out without an image" in faces.note
    assert faces.left_out is not None
    assert faces.left_out.to_numpy().tolist() == [["F001", "F001/T1", int(images[2].stem)]]
    assert "missing" not in strict.data.model_dump()
    assert lenient.data.model_dump()["missing"] == "leave_out"


def test_two_steps_of_training_on_a_mock_copy(tmp_path: Path) -> None:
    copy = mock.gft(tmp_path / "data")
    mock.rafdb(copy.root)
    words = ("--data", copy.root, "--cache", tmp_path / "cache", "--runs", tmp_path / "runs", "--method", "stl")
    profile = ("--profile", "smoke", "--set", "gft.alignment=detected", "--set", "train.steps=2", "--allow-incomplete")
    status, text = run("run", "gft", *words, *profile)
    assert status == 0, text
    assert "aligned on eyes and mouth found by MTCNN" in text
    record = next((tmp_path / "runs").rglob("*.json"))
    assert record.is_file()


def test_disfa_without_bp4d_names_the_setting(tmp_path: Path) -> None:
    mock.disfa(tmp_path)
    mock.rafdb(tmp_path)
    with pytest.raises(UserError, match=r"the data root lacks BP4D[\s\S]*--set disfa\.start\.method="):
        load_data("disfa", profile="paper", root=tmp_path, cache=tmp_path / "cache", allow_incomplete=True)
