"""The command line as a user meets it: one block for a mistake, exit 2, nothing half-written; and the whole path."""

from __future__ import annotations

import json
import re
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from benchmark import api
from benchmark.config.settings import StandinSettings
from benchmark.data.trial_data import TrialData
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.store.results import Results
from benchmark.trials.runner import joint_origin
from tests.cli.small import SMALL, TINY
from tests.standins import draw


def damage_nothing(root: Path) -> None:
    pass


def no_coding(root: Path) -> None:
    shutil.rmtree(root / "BP4D" / "AUCoding")


def wrong_header(root: Path) -> None:
    edit(root / "BP4D/AUCoding/AU_OCC/F001_T1.csv", 0, "frame,au1,au2")


def code_of_7(root: Path) -> None:
    edit(root / "BP4D/AUCoding/AU_OCC/F001_T1.csv", 2, "96," + ",".join(["7"] * 23))


def image_gone(root: Path) -> None:
    next((root / "BP4D/Sequences(2D+3D)/F001/T1").glob("*97.jpg")).unlink()


def truncated_jpeg(root: Path) -> None:
    file = next((root / "BP4D/Sequences(2D+3D)/F001/T1").glob("*97.jpg"))
    file.write_bytes(file.read_bytes()[:200])


def wrong_dataset(root: Path) -> None:
    shutil.rmtree(root / "BP4D")
    shutil.copytree(root / "RAF-DB", root / "BP4D")


def no_rafdb(root: Path) -> None:
    shutil.rmtree(root / "RAF-DB")


def edit(file: Path, line: int, text: str) -> None:
    lines = file.read_text().splitlines()
    lines[line] = text
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("damage", "extra", "words"),
    [
        (no_coding, [], ["no AU coding files", "AU_OCC"]),
        (wrong_header, [], ["wrong header", "F001_T1.csv:1", "frame,au1,au2"]),
        (code_of_7, [], ["wrong code for AU1", "F001_T1.csv:3", "found:    7"]),
        (image_gone, [], ["without an image", "F001_T1.csv:4"]),
        (truncated_jpeg, ["--allow-incomplete"], ["cannot be read", "97.jpg"]),
        (wrong_dataset, [], ["no AU coding files", "basic"]),
        (no_rafdb, [], ["lacks RAF-DB"]),
        (damage_nothing, ["--method", "mall"], ["unknown method 'mall'", "did you mean 'mal'"]),
        (damage_nothing, ["--set", "train.stebs=3"], ["unknown setting 'train.stebs'", "did you mean 'train.steps'"]),
        (damage_nothing, ["--part", "fold1"], ["unknown part 'fold1'", "part1"]),
        (damage_nothing, ["--set", "method.backbone=resnet43"], ["unknown timm backbone 'resnet43'", "did you mean"]),
        (
            damage_nothing,
            ["--set", "seeds=[-1]"],
            ["setting 'seeds'", "greater than or equal to 0"],
        ),
        (damage_nothing, ["--device", "cuda:77"], ["cannot be used"]),
        (damage_nothing, ["--set", "steps"], ["KEY=VALUE"]),
        (damage_nothing, ["--set", "method.weights=/no/such.safetensors"], ["no file of backbone weights"]),
    ],
)
def test_a_mistake_is_one_block_and_exit_2(malbench, data: Path, tmp_path: Path, damage, extra, words) -> None:
    damage(data)
    status, _, error = malbench("run", "bp4d", "--data", data, *TINY, *extra)
    assert status == 2
    assert error.startswith("error: ")
    assert "Traceback" not in error
    for word in words:
        assert word in error, error
    assert "remedy:" in error
    # Nothing half-written is taken for whole: no trial folder, no pack; what is packed waits for the next call.
    assert not (tmp_path / "runs").exists()
    left = [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert not [p for p in left if not p.parent.name.startswith(".packing-")]


def test_wrong_profiles_and_roots(malbench, data: Path, tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text("[train]\nsteps = 'many'\n")
    status, _, error = malbench("run", "bp4d", "--data", data, "--profile", profile)
    assert (status, f"where:    {profile}:2" in error) == (2, True)
    status, _, error = malbench("run", "bp4d", "--data", data / "BP4D")
    assert (status, f"--data {data}" in error) == (2, True)
    status, _, error = malbench("run", "bp4d", "--data", tmp_path / "nowhere")
    assert (status, "not a folder" in error) == (2, True)
    status, _, error = malbench("run", "bp5d")
    assert (status, "did you mean 'bp4d'" in error) == (2, True)
    profile.write_text("[train]\nsteps = 3\n[methods.mal]\nbetta = 1\n")
    status, _, error = malbench("run", "bp4d", "--data", data, "--profile", profile)
    assert (status, f"where:    {profile}:4" in error, "did you mean 'beta'" in error) == (2, True, True)
    profile.write_bytes(b"\xff\xfe\x00")
    assert malbench("run", "bp4d", "--data", data, "--profile", profile)[0] == 2
    as_is = ("--set", "data.alignment=as_is")
    status, _, error = malbench("data", "prepare", "bp4d", "--data", data, "--cache", profile, *as_is)
    assert (status, "the system refuses" in error, str(profile) in error) == (2, True, True)
    (tmp_path / "runs").mkdir()
    status, _, error = malbench("report", "--out", tmp_path / "empty")
    assert (status, "no finished trial" in error) == (2, True)


def test_partial_data_run_and_report(malbench, data: Path, tmp_path: Path) -> None:
    status, _, error = malbench("run", "bp4d", "--data", data, *TINY)
    assert (status, "the data are incomplete" in error, "--allow-incomplete" in error) == (2, True, True)
    assert not (tmp_path / "runs").exists()
    assert malbench("data", "check", "bp4d", "--data", data, "--set", "data.alignment=as_is")[0] == 1
    status, out, _ = malbench("run", "bp4d", "--data", data, *TINY, "--allow-incomplete")
    assert status == 0
    assert "partial data in BP4D's layout" in out
    status, out, _ = malbench("run", "bp4d", "--data", data, *TINY, "--allow-incomplete")
    assert out.count("skipped: done before") == len(list((tmp_path / "runs").glob("*/*/*/DONE")))
    reports = tmp_path / "reports"
    assert malbench("report", "--out", reports)[0] == 0
    text = (reports / "tables.md").read_text()
    assert "partial" in text
    assert re.search(r"run with --allow-incomplete: \d faults of the data check, the first: subjects missing", text)
    assert "Table 1" in text
    assert list((reports / "figures").glob("figure3*.png"))
    # Images that are no stand-in's are shown only if somebody asks for them.
    assert not list((reports / "figures").glob("figure5*"))
    assert malbench("report", "--out", tmp_path / "asked", "--faces", data)[0] == 0
    assert list((tmp_path / "asked/figures").glob("figure5*"))
    status, _, error = malbench("report", "--out", tmp_path / "asked", "--faces", tmp_path)
    assert (status, "RAF-DB" in error) == (2, True)
    other = tmp_path / "other"
    shutil.copytree(data, other)
    labels = other / "RAF-DB/basic/EmoLabel/list_patition_label.txt"
    labels.write_text("".join(f"{line[:-1]}{int(line[-1]) % 7 + 1}\n" for line in labels.read_text().splitlines()))
    status, _, error = malbench("report", "--out", tmp_path / "asked", "--faces", other)
    assert (status, "these are not the FE images that the trial ran on" in error) == (2, True)
    # The same report from the results file alone.
    again = tmp_path / "again"
    assert malbench("report", "--results", reports / "results.parquet", "--out", again)[0] == 0
    assert (again / "tables.md").read_text() == text
    status, _, error = malbench("report", "--results", reports / "results.parquet", "--out", again, "--faces", data)
    assert (status, "a results file holds no images" in error) == (2, True)
    # Its figures come from the folder of a trial that it holds.
    (weigher,) = (tmp_path / "runs").glob("bp4d/mal/part1-*")
    chosen = ("--trial", weigher.name.rsplit("-", 1)[1], "--faces", data)
    drawn = tmp_path / "drawn"
    assert malbench("report", "--results", reports / "results.parquet", "--out", drawn, *chosen)[0] == 0
    assert (drawn / "figures/figure5.png").is_file()
    status, out, _ = malbench("status")
    assert "done" in out
    status, out, _ = malbench("methods")
    assert all(name in out for name in ("stl", "mtl", "mal"))


def test_one_trial_by_its_key(malbench, data: Path, tmp_path: Path) -> None:
    stl = ("run", "bp4d", "--data", data, *TINY, "--allow-incomplete", "--method", "stl")
    assert malbench(*stl, "--part", "part2")[0] == 0
    (folder,) = (tmp_path / "runs/bp4d/stl").iterdir()
    alone = (*stl, "--trial", folder.name.rsplit("-", 1)[1])
    shutil.rmtree(tmp_path / "runs")
    assert malbench(*alone)[0] == 0
    assert [*(tmp_path / "runs/bp4d/stl").iterdir()] == [folder]
    # Whoever waits for this trial is told that it was not made here.
    (folder / "DONE").unlink()
    with FileLock(folder / ".lock"):
        status, _, error = malbench(*alone)
    assert (status, "another process runs bp4d stl part2" in error) == (2, True)
    status, _, error = malbench(*stl, "--trial", "0123")
    assert (status, "no trial with the key '0123'" in error) == (2, True)


def test_no_cluster_is_one_block(malbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    status, _, error = malbench("run", "bp4d", *TINY, "--launcher", "slurm")
    assert status == 2
    assert error.startswith("error: ")
    assert "remedy:" in error
    assert not list(tmp_path.iterdir())


def test_the_stand_in_says_so_everywhere(malbench, tmp_path: Path, shared_cache: Path) -> None:
    status, out, _ = malbench("run", "bp4d", *TINY, "--method", "stl", "--cache", shared_cache)
    assert status == 0
    assert "STAND-IN" in out
    results = tmp_path / "reports"
    assert malbench("report", "--out", results, "--cache", shared_cache)[0] == 0
    assert "stand-in" in (results / "tables.md").read_text().lower()
    assert set(Results.read(results / "results.parquet").trials["origin"]) == {"stand-in"}


def test_check_and_prepare_a_written_stand_in(malbench, tmp_path: Path) -> None:
    root = tmp_path / "faces"
    small = ["--profile", "smoke"]
    assert malbench("data", "standin", "bp4d", "--out", root, *small)[0] == 0
    status, out, _ = malbench("data", "check", "bp4d", "--data", root)
    assert status == 0
    assert "stand-in" in out
    status, out, _ = malbench("data", "prepare", "bp4d", "--data", root, *small)
    assert status == 0
    assert "fingerprint" in out
    status, _, error = malbench("data", "standin", "bp4d", "--out", root, *small)
    assert status == 2
    status, _, error = malbench("data", "check", "bp4d")
    assert (status, "no data root" in error) == (2, True)


def test_a_stand_in_without_its_marker_is_still_known(malbench, tmp_path: Path) -> None:
    root = tmp_path / "faces"
    draw(root, StandinSettings(size=40, frames_per_sequence=1, fe_train=20, fe_test=2))
    (root / "standin.json").unlink()
    status, out, _ = malbench("data", "check", "bp4d", "--data", root)
    assert status == 0
    assert out.count("stand-in") == 2


def test_one_trial_fails_and_the_others_are_run(malbench, shared_cache: Path) -> None:
    few = ("--method", "stl", "--method", "mtl", "--part", "part1", "--set", "methods.stl.lr=1e30")
    where = ("--cache", shared_cache)
    status, out, error = malbench("run", "bp4d", *SMALL, *few, *where, "--set", "methods.stl.optimizer=sgd")
    assert status == 1
    assert "2 trials: 1 ran, 1 failed" in out
    assert error.startswith("error: bp4d stl part1 seed 0")
    assert "Traceback" not in error
    status, out, _ = malbench("status", "--json")
    assert status == 0
    stands = {trial["method"]: (trial["state"], trial["detail"]) for trial in json.loads(out)}
    assert stands["mtl"] == ("done", "")
    assert stands["stl"][0] == "failed"
    assert stands["stl"][1].startswith("training diverged")
    assert "1 done, 1 failed" in malbench("status")[1]
    assert "1 failed" in malbench("status", "--dataset", "bp4d", "--method", "stl")[1]
    assert "no trial in" in malbench("status", "--dataset", "gft")[1]


def test_from_a_dry_run_to_figures_5_and_6(malbench, tmp_path: Path) -> None:
    one = ("run", "bp4d", *SMALL, "--method", "mal", "--part", "part1")
    status, out, _ = malbench(*one, "--dry-run")
    assert (status, "1 trial: 1 to do" in out, "of disk" in out) == (0, True, True)
    assert out.startswith("a dry run trains nothing, but needs the frames")
    assert "time: no estimate" in out
    assert not (tmp_path / "runs").exists()
    assert malbench(*one)[0] == 0
    status, out, _ = malbench(*one, "--dry-run")
    assert (status, "1 trial: 1 done" in out, "of disk" in out) == (0, True, False)
    assert "time:" not in out
    status, out, _ = malbench(*one, "--seed", "1", "--method", "stl", "--dry-run")
    (time_line,) = (line for line in out.splitlines() if line.startswith("time: "))
    assert (status, time_line.startswith("time: about ")) == (0, True)
    assert "finished trials of this store" in time_line
    settings = ("--set", "methods.mtl.fe_weight=0.5", "--set", "methods.mal.beta=0.5")
    said = " ".join(malbench(*one, "--dry-run", *settings)[1].split())
    assert "--set methods.mtl.fe_weight changes nothing here" in said
    assert "methods.mal.beta changes nothing" not in said
    assert "1 done" in malbench("status", "--watch")[1]
    assert malbench("report", "--out", tmp_path / "reports")[0] == 0
    figures = {file.name for file in (tmp_path / "reports/figures").iterdir()}
    assert {"figure5.png", "figure6.svg"} <= figures
    status, _, error = malbench("report", "--out", tmp_path / "reports", "--trial", "0" * 16)
    assert (status, "no finished trial" in error) == (2, True)


class Cluster:
    """A queue that takes every job."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs

    def jobs(self) -> set[str]:
        return set()

    def submit(self, name: str, resources: object, after: object, commands: list[list[str]]) -> list[str]:
        return [f"7_{i}" for i in range(len(commands))]


def test_memory_of_the_login_node_is_no_reason_to_submit_nothing(
    malbench, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ("run", "bp4d", *SMALL, "--method", "stl", "--part", "part1", "--cache", shared_cache)
    monkeypatch.setattr("benchmark.trials.preflight.device_memory", lambda device: 2**20)
    status, _, error = malbench(*one)
    assert (status, "too little memory for a step" in error) == (2, True)
    monkeypatch.setattr("benchmark.launch.slurm.Slurm", Cluster)
    status, out, error = malbench(*one, "--launcher", "slurm")
    assert (status, error, "submitted, job 7_0" in out) == (0, "", True)
    # The store is shared, and so is its disk.
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("benchmark.trials.preflight.shutil.disk_usage", lambda path: usage(2**30, 2**30, 0))
    status, _, error = malbench(*one, "--launcher", "slurm")
    assert (status, "the disk is too small for these trials" in error) == (2, True)


def test_frames_of_parts_are_those_of_their_subjects(data: Path, tmp_path: Path) -> None:
    loaded = api.load_data(
        "bp4d",
        profile="smoke",
        overrides=["data.alignment=as_is"],
        root=data,
        cache=tmp_path / "cache",
        allow_incomplete=True,
    )
    assert loaded.test_frames == {"part1": 24, "part2": 24, "part3": 24}
    few = BP4D.model_copy(update={"parts": {"part1": ("F001",), "part2": ("nobody",)}})
    assert replace(loaded, protocol=few).test_frames == {"part1": 12, "part2": 0}


def test_gft_on_its_stand_in_ends_with_table_3(malbench, tmp_path: Path) -> None:
    few = ("--set", "gft.standin_frames=4", "--method", "mtl", "--method", "stl", "--method", "mal")
    status, out, _ = malbench("run", "gft", *SMALL, *few)
    assert status == 0
    assert "STAND-IN" in out
    # The stand-in's AUs stand beside the weights of its FE images, by their paths.
    (weighed,) = (tmp_path / "runs/gft/mal").iterdir()
    weights = pd.read_parquet(weighed / "fe_weights.parquet").set_index("path")
    (truth,) = (tmp_path / "cache/standin").glob("*/truth/rafdb.parquet")
    known = pd.read_parquet(truth).set_index("path").loc[weights.index]
    assert (weights["AU12"] == (known["AU12"] > 0.35)).all()
    assert 0 < weights["AU12"].sum() < len(weights)
    assert malbench("report", "--out", tmp_path / "reports")[0] == 0
    text = (tmp_path / "reports/tables.md").read_text(encoding="utf-8")
    assert "## GFT, stand-in, profile smoke" in text
    assert "### Table 3: ours (stand-in) beside the paper's" in text
    assert "| MTL (ours, stand-in)" in text
    own = Results.read(tmp_path / "reports/results.parquet")
    assert "split" in own.trials["data_note"][0]

    # A trial's own predictions, scored as a stranger's, have its counts and stand in its table.
    (trial,) = (tmp_path / "runs/gft/mtl").iterdir()
    scored = tmp_path / "mine.parquet"
    where = ("--results", tmp_path / "reports/results.parquet", "--out", scored)
    settings = [*SMALL, "--set", "gft.standin_frames=4"]
    status, out, _ = malbench("score", trial / "predictions.parquet", "gft", "--name", "mine", *where, *settings)
    assert (status, "mine, test: F1 ave" in out) == (0, True)
    counts = [
        each.sort_values(["subject", "au"])[["tp", "fp", "fn", "tn"]].to_numpy()
        for each in (Results.read(scored).counts, pd.read_parquet(trial / "counts.parquet"))
    ]
    np.testing.assert_array_equal(*counts)
    assert malbench("report", "--with", scored, "--out", tmp_path / "more")[0] == 0
    text = (tmp_path / "more/tables.md").read_text(encoding="utf-8")
    assert "| mine (submitted, stand-in)" in text[text.index("### Submitted") :]

    # Under the rules of others: the trials of the store, and the same predictions as a stranger's.
    pages = [
        malbench(*arguments)
        for arguments in (("audit",), ("audit", trial / "predictions.parquet", "gft", "--name", "mine", *settings))
    ]
    assert [status for status, _, _ in pages] == [0, 0]
    assert pages[0][1].strip() == (tmp_path / "reports/audit.md").read_text(encoding="utf-8").strip()
    assert all("### Not a valid protocol: the rule looks at test labels" in out for _, out, _ in pages)
    assert "| last moment, .5, majority of five frames" in pages[1][1]
    assert "best moment" not in pages[1][1].split("## How to read it")[0]  # one file is one moment
    status, _, error = malbench("audit", trial / "predictions.parquet")
    assert (status, "malbench audit FILE DATASET" in error) == (2, True)

    # Two results side by side: more rows, nothing else.
    sides = (tmp_path / "reports/results.parquet", tmp_path / "more/results.parquet")
    status, out, _ = malbench("report", "--compare", *sides, "--out", tmp_path / "both")
    assert status == 0
    text = (tmp_path / "both/compare.md").read_text(encoding="utf-8")
    assert "+0.0 (one training)" in text
    assert "mine, gft" in text

    status, out, _ = malbench("claims", "--json")
    claims = json.loads(out)
    assert len(claims) == 33
    assert claims[0]["readings"][0]["ours"][0]["evidence"] == "nothing was run on BP4D"


def test_claims_on_the_printed_tables_need_no_run(malbench, tmp_path: Path) -> None:
    status, out, _ = malbench("claims", "--paper", "--json")
    claims = json.loads(out)
    assert status == 0
    follows = [{reading["follows"] for reading in claim["readings"]} for claim in claims]
    assert (follows.count({True}), follows.count({False}), follows.count({True, False})) == (21, 1, 5)
    assert "ours" not in claims[0]["readings"][0]
    assert "C13 §4.3" in malbench("claims", "--paper")[1]
    (tmp_path / "runs").mkdir()
    status, _, error = malbench("claims", "--out", tmp_path)
    assert (status, "no finished trial" in error) == (2, True)


@pytest.mark.parametrize("command", [("cost", "absent.json"), ("score", "absent.csv", "bp4d", "--name", "x")])
def test_files_of_others_that_are_not_there(malbench, tmp_path: Path, command: tuple[str, ...]) -> None:
    status, _, error = malbench(*command, *(["--profile", "smoke"] if command[0] == "score" else []))
    assert status == 2
    assert error.startswith("error: ")


def test_renders_are_no_start_for_the_gradient_probe(malbench) -> None:
    status, _, error = malbench("gradient-probe", "--profile", "smoke", "--set", "method.weights=renders")
    assert (status, "starts from renders has another" in error) == (2, True)


def test_disfa_starts_from_a_model_trained_on_bp4d(malbench, tmp_path: Path) -> None:
    few = ("--set", "disfa.standin_frames=6", "--set", "data.val_minimum=4", "--method", "stl")
    status, out, _ = malbench("run", "disfa", *SMALL, *few, "--part", "part2")
    assert status == 0
    assert "bp4d stl all seed 0" in out
    assert malbench("report", "--out", tmp_path / "reports")[0] == 0
    trials = Results.read(tmp_path / "reports/results.parquet").trials
    (start,) = (tmp_path / "runs/bp4d/stl").iterdir()
    assert list(trials["dataset"]) == ["disfa"]
    assert trials["weights"][0] == f"stl trained on bp4d (trial {start.name.rsplit('-', 1)[1]})"
    text = (tmp_path / "reports/tables.md").read_text(encoding="utf-8")
    assert "### Table 2: ours (stand-in) beside the paper's" in text
    assert "### Figure 4" not in text  # neither MTL nor MAL was trained
    assert (tmp_path / "reports/figures/answer-disfa.png").is_file()
    # Other parts of BP4D, or none, are other trials.
    for other in ('disfa.start.parts=["part1","part3"]', "disfa.start.method="):
        assert malbench("run", "disfa", *SMALL, *few, "--part", "part2", "--set", other)[0] == 0
    assert len(list((tmp_path / "runs/disfa/stl").iterdir())) == 3
    assert len(list((tmp_path / "runs/bp4d/stl").iterdir())) == 2


def test_a_result_is_no_better_than_the_data_its_start_learned_from() -> None:
    faces = namedtuple("Faces", "origin")
    packed = namedtuple("Packed", "faces")
    data = TrialData(packed(faces("complete")), packed(faces("complete")))  # type: ignore[arg-type]
    assert joint_origin(data, "complete") == "complete"
    assert joint_origin(data, "partial") == "partial"
    assert joint_origin(data, "stand-in") == "stand-in"
