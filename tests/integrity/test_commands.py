"""Commands that end badly elsewhere: closed outputs, strange files, settings of other programs, empty paths."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.core.files import parse_json, read_bytes, regular
from benchmark.report.readable import readable
from benchmark.report.render import build_report
from benchmark.store.results import Results
from benchmark.trials.collect import read_store
from benchmark.trials.expand import profile_of
from benchmark.trials.states import source_hashes
from tests.chaos.process import start
from tests.fuzz.test_fuzz import malbench
from tests.integrity.stores import finish, finished_store, trial_of

DEEP = 100_000
ENOUGH_S = 300
"""No command here takes so long, unless it hangs."""


def malbench_process(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def forked(home: Path, *arguments: str | Path) -> tuple[int | None, str]:
    """Status and error output of a command that may hang; without the seconds of a new interpreter."""
    process = start(home / "said", *arguments, errors=home / "errors")
    process.join(ENOUGH_S)
    process.kill()
    process.join()
    return process.exitcode, (home / "errors").read_text()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return read_store(finished_store(tmp_path_factory.mktemp("runs")), source_hashes())


def failing(number: int):
    """A `Path.replace` that fails the n-th time, as on a full disk."""
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return real(self, target)

    return replace


@pytest.mark.parametrize("number", [1, 3, 5, 6])
def test_a_write_that_fails_leaves_the_last_report(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    out = tmp_path / "reports"
    build_report(results.select(results.trials["trial"].iloc[:1]), out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing(number))  # in the scratch folder: three figures, results, three texts
        with pytest.raises(OSError, match="No space"):
            build_report(results, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_folder_in_the_place_of_a_file_stops_the_report_before_anything_is_moved(
    tmp_path: Path, results: Results
) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(OSError, match="folder"):
        build_report(results, tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_results_are_the_last_file_of_a_report(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, real = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: moved.append(target) or real(self, target))
    build_report(results, tmp_path)
    assert moved[-1] == tmp_path / "results.parquet"


def test_an_unwritable_cache_costs_two_figures_alone(tmp_path: Path) -> None:
    finished_store(tmp_path / "runs")
    (tmp_path / "cache").write_text("a file where the folder of the cache would be")
    where = ("--runs", tmp_path / "runs", "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    status, said, error = malbench("report", *where)
    assert (status, error) == (0, "")
    assert "Figures 5 and 6 are left out" in said
    assert (tmp_path / "out/results.parquet").is_file()


def test_a_result_holds_its_profile_and_no_other_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = Path(load_profile("smoke")[0].path).read_text()
    (tmp_path / "mine.toml").write_text(text)
    profile, _ = load_profile("mine.toml", ["standin.seed=5", "train.steps=7"])
    trial = trial_of("mal").model_copy(update={"profile": "mine.toml", "shared_overrides": "standin.seed=5"})
    (tmp_path / "mine.toml").write_text("another file of this name")
    stored, changed = profile_of(trial, {"profile": json.loads(json.dumps(profile.for_result()))})
    assert (stored.standin, stored.data, stored.train, stored.sections) == (
        *(profile.standin, profile.data, profile.train),
        profile.sections,
    )
    assert stored.for_result() == profile.for_result()
    assert changed == ("standin.seed=5",)
    with pytest.raises(UserError, match="does not hold its profile"):
        profile_of(trial, {})


@pytest.mark.parametrize("style", ["text.usetex: True\n", "font.size: 30\naxes.facecolor: red\n"])
def test_figures_do_not_follow_the_settings_of_the_user(tmp_path: Path, results: Results, style: str) -> None:
    build_report(results, tmp_path / "plain")
    code = (
        "import sys; from pathlib import Path; from benchmark.store.results import Results;"
        "from benchmark.report.render import build_report;"
        "build_report(Results.read(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    (tmp_path / "matplotlibrc").write_text(style)
    arguments = [sys.executable, "-c", code, str(tmp_path / "plain/results.parquet"), str(tmp_path / "styled")]
    subprocess.run(arguments, check=True, cwd=tmp_path, timeout=120)
    for file in sorted((tmp_path / "plain/figures").iterdir()):
        assert (tmp_path / "styled/figures" / file.name).read_bytes() == file.read_bytes(), file.name


def test_commands_do_not_follow_the_backend_of_the_user() -> None:
    ran = malbench_process("claims", "--paper", env={**os.environ, "MPLBACKEND": "nonsense"})
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_fifo_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for read in (regular, read_bytes):
        with pytest.raises(UserError, match="not a regular file") as caught:
            read(tmp_path / "fifo")
        assert caught.value.found == "a FIFO"


FIFOS = (
    "BP4D/AUCoding/AU_OCC/F001_T1.csv",
    "RAF-DB/basic/EmoLabel/list_patition_label.txt",
    "BP4D/Sequences(2D+3D)/F001/T1/095.jpg",
)


@pytest.mark.parametrize("place", FIFOS)
def test_a_fifo_in_the_data_ends_the_command(data: Path, tmp_path: Path, place: str) -> None:
    files = sorted(data.glob(place.replace("095", "*95*"))) or [data / place]
    files[0].unlink()
    os.mkfifo(files[0])
    command = ("prepare", "bp4d", "--data", data, "--cache", tmp_path / "cache", "--profile", "smoke")
    status, error = forked(tmp_path, "data", *command, "--set", "data.alignment=as_is")
    assert status == 2
    assert error.startswith("error: ")


def test_a_fifo_among_the_labels_does_not_stop_the_check(data: Path, tmp_path: Path) -> None:
    file = data / FIFOS[0]
    file.unlink()
    os.mkfifo(file)
    command = ("data", "check", "bp4d", "--data", data, "--set", "data.alignment=as_is")
    assert forked(tmp_path, *command) == (1, "")
    assert "fault: not a regular file" in (tmp_path / "said").read_text()


def test_json_and_toml_that_are_nested_too_deep_are_errors_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * DEEP)
    (tmp_path / "deep.toml").write_text("a = " + "[" * DEEP)
    with pytest.raises(UserError, match="not TOML"):
        load_profile(str(tmp_path / "deep.toml"))
    with pytest.raises(UserError):
        load_profile("smoke", ["train.steps=" + "[" * DEEP])


def with_cells(results: Results, **cells: str) -> Results:
    trials = results.trials.copy()
    for name, value in cells.items():
        trials.loc[0, name] = value
    return Results(trials, results.counts, results.scores, results.curves, results.weights)


WRONG = {
    "parts": {"parts": 5},
    "aus": {"aus": {"a": 1}},
    "title": {"title": [1]},
    "verified": {"verified": [1]},
    "verified steps": {"verified": {"source_hash": "a", "steps": "many", "agreement": 3}},
    "packages": {"packages": "torch"},
    "prerequisites": {"prerequisites": {"start": 3}},
    "learned": {"prerequisites": {"start": {"learned": "much"}}},
}


@pytest.mark.parametrize("name", WRONG)
def test_provenance_of_another_shape_is_an_error_of_the_file(tmp_path: Path, results: Results, name: str) -> None:
    with_cells(results, provenance=json.dumps(WRONG[name])).write(tmp_path / "r.parquet")
    for command in (
        ("--results", tmp_path / "r.parquet"),
        ("--compare", tmp_path / "r.parquet", tmp_path / "r.parquet"),
    ):
        status, _, error = malbench("report", *command, "--out", tmp_path / "out")
        assert (status, error.partition("\n")[0]) == (2, "error: a results file holds what no report can be made of")


@pytest.mark.parametrize("settings", ['{"data": 5}', "[" * DEEP, '{"seed": 1}', "[]"])
def test_settings_that_are_not_those_of_the_key_are_an_error(tmp_path: Path, results: Results, settings: str) -> None:
    with_cells(results, settings=settings).write(tmp_path / "r.parquet")
    with pytest.raises(UserError, match="no report can be made of"):
        Results.read(tmp_path / "r.parquet")


def test_predictions_with_broken_metadata_of_pandas_are_read_without_it(tmp_path: Path) -> None:
    table = pa.table({"subject": ["a"]}).replace_schema_metadata({"pandas": "{broken"})
    pq.write_table(table, tmp_path / "p.parquet")
    status, _, error = malbench("score", tmp_path / "p.parquet", "bp4d", "--name", "x", "--results", "absent.parquet")
    assert (status, "Traceback" in error) == (2, False)
    from benchmark.report.predictions import read_table

    assert read_table(tmp_path / "p.parquet")[0]["subject"].tolist() == ["a"]


@pytest.mark.parametrize("text", ["x" * 100_000, "a\x00b\x1b[31mc\ud800", "a\nb\u2028c"])
def test_descriptions_of_any_kind_give_a_report(tmp_path: Path, results: Results, text: str) -> None:
    made = json.loads(results.trials["provenance"].iloc[0]) | {"title": text}
    safe = text.encode(errors="replace").decode()
    told = with_cells(results, profile=safe, data_note=safe, variant=safe, provenance=json.dumps(made))
    build_report(told, tmp_path)
    from xml.etree import ElementTree

    for file in tmp_path.rglob("*.svg"):
        ElementTree.parse(file)
    assert "\x00" not in (tmp_path / "index.html").read_text()
    assert len((tmp_path / "tables.md").read_text()) < 200_000


def test_claims_show_no_more_of_a_description_than_a_report(tmp_path: Path, results: Results) -> None:
    with_cells(results, profile="x" * 100_000).write(tmp_path / "r.parquet")
    status, said, error = malbench("claims", "--json", "--results", tmp_path / "r.parquet")
    assert (status, error) == (0, "")
    assert "x" * 2000 not in said


@pytest.mark.parametrize("name", ["", "x" * 100_000, "a\x00b"])
def test_names_that_cannot_be_shown_are_refused(tmp_path: Path, results: Results, name: str) -> None:
    with_cells(results, method=name).write(tmp_path / "r.parquet")
    with pytest.raises(UserError, match="no report can be made of") as caught:
        Results.read(tmp_path / "r.parquet")
    assert "is no name" in str(caught.value.found)


def test_readable_text_is_short_and_shows_every_character() -> None:
    assert readable("x" * 5000) == "x" * 998 + " …"
    assert readable("\x1b[31m\x7f\ud83d") == " [31m "
    assert readable("Größe · 1") == "Größe · 1"


@pytest.mark.parametrize(
    "command",
    [
        ("run", "gft", "--data", ""),
        ("data", "check", "gft", "--data="),
        ("report", "--runs", ""),
        ("status", "--runs="),
        ("report", "--with", ""),
        ("data", "standin", "gft", "--out", ""),
    ],
    ids=" ".join,
)
def test_an_empty_path_is_not_the_current_folder(command: tuple[str, ...]) -> None:
    status, _, error = malbench(*command)
    assert (status, error.partition("\n")[0]) == (2, "error: a path is empty")


def test_a_profile_with_a_byte_order_mark_is_toml(tmp_path: Path) -> None:
    text = Path(load_profile("smoke")[0].path).read_text()
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8-sig")
    assert load_profile(str(tmp_path / "mine.toml"))[0].train == load_profile("smoke")[0].train
    with pytest.raises(UserError, match="unknown setting"):
        load_profile(str(tmp_path / "mine.toml"), ["train.stepz=3"])


@pytest.mark.parametrize(
    "override",
    ["train.steps=100000000000000000000", "train.steps=1e20", "train.epochs=1000000000", "train.batch_au=10000000000"],
)
def test_budgets_have_an_upper_bound(override: str) -> None:
    with pytest.raises(UserError, match="a wrong value for the setting 'train"):
        load_profile("smoke", [override])


def test_settings_of_methods_that_do_not_run_are_checked(data: Path, tmp_path: Path) -> None:
    where = ("--data", data, "--runs", tmp_path / "runs", "--cache", tmp_path / "cache", "--profile", "smoke")
    status, _, error = malbench("run", "bp4d", *where, "--method", "stl", "--set", "methods.mal.nonsense=foo")
    assert (status, error.partition("\n")[0]) == (2, "error: unknown setting 'methods.mal.nonsense'")


CLOSED = {
    ("methods",): "",
    ("datasets",): "",
    ("--help",): "",
    ("run", "--help"): "",
    ("cost", "--out", "OUT"): "error: the reader of the output has gone",
}
"""Message if nobody reads the output: none where the command only prints."""


def test_a_closed_output_is_said_in_one_block_where_a_command_works(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for arguments, said in CLOSED.items():
        given = [word.replace("OUT", str(tmp_path / "out")) for word in arguments]
        command = [sys.executable, "-m", "benchmark.cli", *given]
        ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
        assert ran.returncode == 141
        assert ran.stderr.startswith(said)
        assert ran.stderr.count("error") == (1 if said else 0)
        assert bool(ran.stderr) == bool(said)
        assert "Traceback" not in ran.stderr
        assert "Exception ignored" not in ran.stderr
    os.close(writing)


def test_a_report_with_the_same_trials_twice_is_the_report(tmp_path: Path, results: Results) -> None:
    results.write(tmp_path / "r.parquet")
    where = ("report", "--results", tmp_path / "r.parquet", "--out", tmp_path / "out")
    assert malbench(*where)[0] == 0
    alone = (tmp_path / "out/tables.md").read_bytes()
    assert malbench(*where, "--with", tmp_path / "r.parquet")[0] == 0
    assert (tmp_path / "out/tables.md").read_bytes() == alone


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda path: path, "no such file"), (Path.mkdir, "no finished trial"), (os.mkfifo, "no finished trial")],
    ids=["nothing", "an empty folder", "a FIFO"],
)
def test_more_results_that_hold_no_trial_are_an_error(tmp_path: Path, results: Results, make, said: str) -> None:
    results.write(tmp_path / "r.parquet")
    make(tmp_path / "more")
    where = ("--results", tmp_path / "r.parquet", "--out", tmp_path / "out", "--with", tmp_path / "more")
    status, _, error = malbench("report", *where)
    assert (status, error.partition("\n")[0]) == (2, f"error: {said}")
    assert not (tmp_path / "out").exists()


def test_trials_that_are_not_done_are_named_by_the_report(tmp_path: Path) -> None:
    finished_store(tmp_path / "runs")
    (finish(tmp_path / "runs", "stl", seed=1).path / "DONE").unlink()
    where = ("--runs", tmp_path / "runs", "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert "left out, because not done: 1 trial of the store" in " ".join(malbench("report", *where)[1].split())


def test_a_root_that_is_no_text_is_packed(data: Path, tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xff\xfe"))
    data.rename(root)
    command = ("prepare", "bp4d", "--data", root, "--cache", tmp_path / "cache", "--profile", "smoke")
    assert forked(tmp_path, "data", *command, "--set", "data.alignment=as_is") == (0, "")
    assert np.load(next((tmp_path / "cache").rglob("frames.npy")), mmap_mode="r").shape[0] > 0


def test_runners_end_with_the_process_that_started_them(data: Path, tmp_path: Path) -> None:
    run = (
        *("run", "bp4d", "--data", data, "--allow-incomplete", "--profile", "smoke", "--method", "stl"),
        *("--runs", tmp_path / "runs", "--cache", tmp_path / "cache", "--set", "data.alignment=as_is"),
        *("--set", "method.backbone=test_resnet", "--set", "train.steps=100000", "--threads", "1"),
    )
    code = """
import sys
import time
from pathlib import Path
from benchmark.launch.processes import beside
with beside(1, sys.argv[2:], Path(sys.argv[1])):
    time.sleep(600)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "runs"), *map(str, run)]
    (tmp_path / "runs").mkdir()
    parent = subprocess.Popen(command)
    log, until = tmp_path / f"runs/runners/{parent.pid}-2.log", time.monotonic() + 100
    while not (log.is_file() and "training" in log.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    while "stopped: " not in log.read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert "stopped: " in log.read_text()
    assert list((tmp_path / "runs").rglob("checkpoint.safetensors"))
