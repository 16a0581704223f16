"""Mistakes at the command line, each with its exact answer: `mistakes.txt`, written anew with MALBENCH_GOLDEN=1."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.datasets.bp4d.protocol import BP4D
from tests.cli.conftest import Malbench
from tests.integrity.stores import finished_store

GOLDEN = Path(__file__).with_name("mistakes.txt")
ROOT = Path(__file__).parents[2]
CALLS = """
rnu
run
run bp5d
run rafdb
run csv
run BP4DD
run bp4d extra
run bp4d --nope
run bp4d --method
run bp4d --method mla
run bp4d --method mal,mtl
status --method mal,mtl
run bp4d --method identity
run bp4d --part part9
run bp4d --part 1
run bp4d --part part1,part2
run bp4d --seed x
run bp4d --seed -1
run bp4d --seed 1.5
run bp4d --threads x
run bp4d --threads -1
run bp4d --processes many
run bp4d --device gpu
run bp4d --profile smoek
run bp4d --profile absent.toml
run bp4d --profile TMP/folder
run bp4d --profile TMP/wrong.toml
run bp4d --profile TMP/broken.toml
run bp4d --set steps
run bp4d --set train.stepz=3
run bp4d --set train.step=3
run bp4d --set lr=0.1
run bp4d --set steps=5
run bp4d --set seed=3
run bp4d --set train.steps=many
run bp4d --set train.steps=-1
run bp4d --set method.lr=nan
run bp4d --set method.lr=inf
run bp4d --set train.steps=1e999
run bp4d --set methods.mla.beta=1
run bp4d --set methods.mal.bta=1
run bp4d --set methods.mal.beta=nan
run bp4d --set method.backbone=resnet43
run bp4d --set method.weights=absent.safetensors
run bp4d --set data.fe=bp4d
run bp4d --set seeds=[-1]
run bp4d --set train.steps.more=1
run bp4d --row ResNet-5
run bp4d --row ResNet-50 --profile smoke
run bp4d --data TMP/absent
run bp4d --data TMP/file.txt
run bp4d --data TMP/folder
run bp4d --data ''
run bp4d --runs TMP/file.txt
run bp4d --launcher mars
run bp4d --amp=3
run bp4d --checkpoint-every -1
verify --trial zzz
verify --results absent.parquet
verify --results TMP/folder
report --trial zzz
report --faces TMP/nowhere
report --faces TMP/file.txt
report --results absent.parquet
report --results TMP/folder
report --results TMP/file.txt
report --with absent.parquet
report --compare TMP/file.txt
report --compare absent.parquet absent.parquet
report --out TMP/file.txt
report --out ROOT/reports
report --publish --out TMP/folder
report --runs TMP/empty --out TMP/out
report --runs TMP/runz
metrics --runs TMP/nowhere
report --publish
report --with TMP/folder
claims --results absent.parquet
claims --paper --results absent.parquet
calibrate absent.parquet
calibrate TMP/folder
compute absent.parquet
compute TMP/file.txt
cost absent.json
cost TMP/file.txt
metrics --results absent.parquet
audit TMP/file.txt
audit absent.csv bp4d
audit TMP/file.txt bp4d
audit --threshold 0.3
audit absent.csv bp4d --results absent.parquet
score TMP/unknown.csv bp4d --name x --threshold 0.3
score
score absent.csv bp4d --name x
score TMP/file.txt bp4d --name x
score TMP/folder bp4d --name x
score TMP/unknown.csv bp4d --name x
score TMP/nan.csv bp4d --name x
score TMP/nan.csv bp4d --name stl
score TMP/one.csv bp4d --name x
score TMP/nan.csv bp4d --name x --threshold nan
score TMP/nan.csv bp4d --name x --from openface
score TMP/nan.csv --template bp4d
score --template bp4d --out TMP/file.txt
predict absent.jpg
predict TMP/folder
predict TMP/file.txt
predict TMP/photo.jpg --runs TMP/empty
predict TMP/photo.jpg --trial zzz
predict TMP/photo.jpg --zoom 3
predict TMP/folder --zoom big
status --method mla
status --runs TMP/file.txt
methods mla
datasets --profile smoek
datasets bp5d
help rnu
data
data chek
data check bp4d
data check rafdb --data TMP/folder
data check bp4d --data TMP/absent
data check bp4d --data TMP/file.txt
data check bp4d --list absent.txt
data doctor TMP/absent
data doctor TMP/file.txt
data doctor TMP/folder
data standin bp5d --out TMP/out
data standin bp4d --out TMP/full --profile smoke
data sheet --renderer crayon
data import-lists bp4d --images TMP/absent --list absent.txt --labels absent.txt
demo --out TMP/full
study tunin
study harm --question mots
study TMP/wrong.toml
study harm --with absent.parquet --page-only
gradient-probe --part part9
gradient-probe --window 1
readings bp4d --seed 0 --seed x
readings bp4d --part part9
splits bp4d --repeats 0
splits bp4d --methods stl,mla
splits bp4d --page-only --runs TMP/empty
cross --train bp4d --test bp4d
cross --train bp5d
cross --page-only --runs TMP/empty
study harm --page-only --runs TMP/empty
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the calls: a store of three trials, and files of every wrong kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    finished_store(tmp_path / "runs")
    for name in ("folder", "empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/file.txt").write_text("here\n")
    for name in ("file.txt", "photo.jpg"):
        (tmp_path / name).write_text("no table, no picture\n")
    (tmp_path / "wrong.toml").write_text("[train]\nsteps = 'many'\n")
    (tmp_path / "broken.toml").write_text("[train\n")
    (tmp_path / "unknown.csv").write_text("subject,sequence,frame,AU99\nF001,F001/T1,1,0.5\n")
    (tmp_path / "one.csv").write_text("subject,sequence,frame,AU1\nF001,F001/T1,1,0.5\n")
    header = ",".join(BP4D.au_names)
    (tmp_path / "nan.csv").write_text(f"subject,sequence,frame,{header}\nF001,F001/T1,1,nan{',0.5' * 11}\n")
    return tmp_path


def answers(malbench: Malbench, home: Path) -> Iterator[str]:
    """Each call with its output, its error output and its exit status."""
    for line in CALLS.strip().splitlines():
        words = [word.replace("TMP", str(home)).replace("ROOT", str(ROOT)) for word in shlex.split(line)]
        status, out, error = malbench(*words)
        said = "".join(f"{name}| {row}\n" for name, text in (("out", out), ("err", error)) for row in text.splitlines())
        said = said.replace(str(home), "TMP").replace(str(ROOT), "ROOT")
        said = re.sub(r"[0-9.]+ (MiB|GiB)", r"N \1", said)
        yield f"$ malbench {line}\n{said}exit {status}\n"


def test_every_mistake_has_one_plain_answer(malbench: Malbench, home: Path) -> None:
    text = "\n".join(answers(malbench, home))
    if os.environ.get("MALBENCH_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def blocks() -> list[tuple[str, list[str], int]]:
    """The committed calls, each with the lines of its error output, and its status."""
    found = []
    for block in GOLDEN.read_text(encoding="utf-8").split("\n\n"):
        lines = block.splitlines()
        error = [line.removeprefix("err| ") for line in lines if line.startswith("err|")]
        found.append((lines[0], error, int(lines[-1].removeprefix("exit "))))
    return found


def test_the_answers_are_what_a_user_needs() -> None:
    calls = blocks()
    assert len(calls) >= 60
    assert [call.removeprefix("$ malbench ") for call, *_ in calls] == CALLS.strip().splitlines()
    for call, error, status in calls:
        assert status in {1, 2}, call
        assert "Traceback" not in "\n".join(error), call
        if error:
            assert [line for line in error if line.startswith("error: ")] == [error[0]], call
            assert any(line.startswith("  remedy:") for line in error), call
