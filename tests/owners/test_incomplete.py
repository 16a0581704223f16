"""A copy of a few subjects, or one that is named wrongly: what is missing is said, and the printed commands work."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.api.checks import check_data
from benchmark.api.commands import Commands
from benchmark.api.data import pack_data
from benchmark.api.doctor import diagnose
from benchmark.api.listener import Listener
from benchmark.cli import app
from benchmark.core.errors import UserError
from benchmark.data.faces import data_root
from benchmark.data.places import root_near
from tests.owners import mock

IMAGES = "BP4D/Sequences(2D+3D)"
AS_IS = "data.alignment=as_is"
SMALL = ("data.frame_size=48", "data.crop_size=40")


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, (SystemExit, UserError)), result.exception
    return result.exit_code, result.output + (str(result.exception) if isinstance(result.exception, UserError) else "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six subjects without landmarks, and seven images of each class beside them."""
    home = tmp_path / "downloads/my data"
    mock.bp4d(home, marks="", frames=2)
    mock.rafdb(home)
    return home


@pytest.mark.parametrize(
    ("below", "words"),
    [
        (IMAGES, "This is the image folder of BP4D."),
        (f"{IMAGES}/F001/T1", "This folder lies inside BP4D."),
        ("BP4D/AUCoding", "This is the coding folder of BP4D."),
        ("RAF-DB/basic", "This is the image folder of RAF-DB."),
    ],
)
def test_a_part_of_a_dataset_is_named_with_the_root(below: str, words: str, root: Path) -> None:
    status, text = run("data", "doctor", root / below)
    assert status == 1
    assert text == f"{words} Use: malbench data check bp4d --data '{root}'\n"
    assert shlex.split(text.partition("Use: ")[2]) == ["malbench", "data", "check", "bp4d", "--data", str(root)]


@pytest.mark.parametrize("given", [IMAGES, f"{IMAGES}/F001", "RAF-DB", "BP4D", "..", "../.."])
def test_a_root_too_deep_or_too_high_gets_the_right_one(given: str, root: Path) -> None:
    wrong = (root / given).resolve()
    assert root_near(wrong, "BP4D") == root
    with pytest.raises(UserError, match="the data root lacks BP4D") as caught:
        data_root(wrong, needs=("BP4D",))
    assert caught.value.remedy == f"name it: --data '{root}'"
    outcome = check_data("bp4d", wrong)
    assert outcome.steps == (f"malbench data check bp4d --data '{root}'",)
    assert not [finding for finding in outcome.report.findings if finding.severity == "remark"]


def test_no_root_is_near_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "holidays/2024").mkdir(parents=True)
    assert root_near(tmp_path, "BP4D") is None


def test_what_is_missing_is_said_with_commands_that_work(root: Path, tmp_path: Path) -> None:
    status, text = run("data", "doctor", root)
    assert status == 1
    assert "  incomplete: 12 of 328 coding files, 6 of 41 subjects with images, no landmark files\n" in text
    assert re.search(r"  incomplete: \d\d of 15,339 images\n", text)
    check, trial, prepare, whole = diagnose(root)[0].steps
    assert f"--set {AS_IS} --set data.missing=leave_out" in check
    assert whole.startswith("malbench run bp4d")
    assert whole.endswith("--allow-incomplete")
    places = ("--cache", tmp_path / "cache", "--runs", tmp_path / "runs")
    assert "--profile smoke --allow-incomplete --method stl" in trial
    status, text = run(*shlex.split(trial, comments=True)[1:], *places, "--part", "part1")
    assert (status, "1 trial done" in text) == (0, True), text
    small = [word for setting in SMALL for word in ("--set", setting)]
    status, text = run(*shlex.split(prepare)[1:], *small, *places[:2])
    assert (status, "look at the contact sheets" in text) == (0, True), text
    assert run(*shlex.split(check)[1:])[0] == 1


def test_doctor_says_that_rafdb_is_needed(root: Path) -> None:
    shutil.rmtree(root / "RAF-DB")
    status, text = run("data", "doctor", root)
    assert (status, "  RAF-DB: not found beside it; every run needs it" in text) == (1, True)
    assert "malbench run" not in text
    assert "malbench data prepare" not in text
    assert f"malbench data doctor '{root}'   # again, with RAF-DB beside it" in text


def test_a_dataset_that_is_named_itself_has_the_others_beside_it(root: Path) -> None:
    assert {found.name: found.root for found in diagnose(root / "BP4D")} == {"bp4d": root, "rafdb": root}


def test_a_missing_label_list_is_named(root: Path) -> None:
    (root / "RAF-DB/basic/EmoLabel/list_patition_label.txt").unlink()
    status, text = run("data", "doctor", root)
    assert status == 1
    assert "class folders 1 to 7;" not in text
    assert "layout: class folders" not in text
    assert f"    missing: {root / 'RAF-DB/basic/EmoLabel/list_patition_label.txt'}\n" in text
    assert "  RAF-DB: not readable; every run needs it" in text


def test_an_archive_among_the_subjects_is_named(root: Path) -> None:
    shutil.rmtree(root / IMAGES / "F001")
    (root / IMAGES / "F001.zip").write_bytes(b"PK")
    status, text = run("data", "doctor", root)
    assert status == 1
    assert "not unpacked: F001.zip\n" in text
    assert "# again, after this is unpacked: F001.zip\n" in text
    assert "malbench run" not in text
    outcome = check_data("bp4d", root, overrides=[AS_IS])
    (fault,) = [finding for finding in outcome.report.faults if "F001.zip" in finding.what]
    assert (fault.what, fault.where) == ("F001.zip is not unpacked", str(root / IMAGES / "F001.zip"))
    with pytest.raises(UserError, match=r"F001\.zip is not unpacked"):
        pack_data("bp4d", root, overrides=[AS_IS, *SMALL])


def test_archives_of_whole_datasets_are_those_of_their_names(tmp_path: Path) -> None:
    for name in ("BP4D.zip", "RAF-DB.zip"):
        (tmp_path / name).write_bytes(b"PK")
    status, text = run("data", "doctor", tmp_path)
    assert status == 1
    assert "ln -s" not in text
    assert "nor 1 other" not in text
    for name in ("BP4D", "RAF-DB"):
        found = next(found for found in diagnose(tmp_path) if found.sighting.title == name)
        assert found.sighting.fault is not None
        assert found.sighting.fault.what == f"{name}.zip is not unpacked"
        assert found.steps[0] == f"unzip {tmp_path / name}.zip -d {tmp_path / name}"
    faults = check_data("bp4d", tmp_path).report.faults
    assert [fault.what for fault in faults] == ["BP4D.zip is not unpacked", "RAF-DB.zip is not unpacked"]


def test_a_check_without_landmarks_checks_everything_else(root: Path) -> None:
    outcome = check_data("bp4d", root)
    faults = [fault.what for fault in outcome.report.faults]
    assert faults[0] == "a sequence has no landmarks; 12 files have a fault of this kind"
    assert "or take images as they are: --set data.alignment=as_is" in outcome.report.faults[0].remedy
    assert any(fault.startswith("F001: sequences missing: T3 T4") for fault in faults)
    assert {line.name: line.found for line in outcome.report.lines}["sequences"] == "12"
    assert not any(finding.what.startswith("recognised") for finding in outcome.report.findings)
    assert outcome.steps[-1] == f"malbench run bp4d --data '{root}' --set {AS_IS} --allow-incomplete"


def test_commands_keep_what_the_user_typed(root: Path) -> None:
    outcome = check_data("bp4d", root, profile="smoke", overrides=[AS_IS, "train.steps=2"])
    assert outcome.steps[1].startswith(
        f"malbench data check bp4d --data '{root}' --set {AS_IS} --set train.steps=2 --profile smoke   # again"
    )
    mine = Commands("mine", root, "my profile.toml", ("data.crop_size=40",))
    assert mine.having("data.crop_size=56", AS_IS).overrides == ("data.crop_size=40", AS_IS)
    assert mine.trial == ()
    assert "--profile 'my profile.toml'" in mine.run


def test_a_missing_label_file_and_a_missing_image_are_named_in_faults(root: Path) -> None:
    for task in ("T1", "T2"):
        (root / f"BP4D/AUCoding/AU_OCC/F003_{task}.csv").unlink()
        sorted((root / IMAGES / "F001" / task).iterdir())[1].unlink()
    report = check_data("bp4d", root, overrides=[AS_IS]).report
    faults = {fault.what: fault for fault in report.faults}
    missing = next(fault for what, fault in faults.items() if what.startswith("subjects missing"))
    assert "there is no label file of them: F002 F003 F005" in missing.what
    assert missing.expected.startswith("41 subjects; label files F002_T1, F002_T2")
    (remark,) = [finding for finding in report.findings if finding.severity == "remark"]
    assert (remark.what, remark.expected) == (
        "images without labels: F003/T1, F003/T2",
        "label files F003_T1, F003_T2",
    )
    assert any(what.startswith("coded frames without an image: 1, the first is frame") for what in faults)
    assert "subjects left out, no frame of them can be used: F001" in faults


def test_every_command_counts_the_same_faults(root: Path) -> None:
    notes: list[str] = []
    pack_data("bp4d", root, overrides=[AS_IS, *SMALL], cache=root / "cache", listener=Listener(note=notes.append))
    number = len(check_data("bp4d", root, overrides=[AS_IS]).report.faults)
    assert f"{number} faults in `malbench data check bp4d`, which stop a run" in notes
    status, text = run(
        "run", "bp4d", "--data", root, "--set", AS_IS, "--runs", root / "runs", "--cache", root / "cache"
    )
    assert (status, f"the data are incomplete: {number} faults" in text) == (1, True), text
