"""`malbench demo` in a smaller size: a page in a folder of its own, and nothing anywhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmark.api.demo import SETTINGS
from benchmark.config.profile import load_profile

ROOT = Path(__file__).parents[2]
SMALLER = (
    *("standin.size=20", "standin.frames_per_sequence=1", "standin.fe_train=60", "standin.fe_test=2"),
    *("data.frame_size=18", "data.crop_size=16", "train.steps=2"),
)


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [word for setting in SMALLER for word in ("--set", setting)]
    command = [sys.executable, "-m", "benchmark.cli", "demo", *words, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def test_a_page_in_a_folder_of_its_own(tmp_path: Path) -> None:
    reports = {file: file.stat().st_mtime_ns for file in (ROOT / "reports").rglob("*")}
    out = tmp_path / "demo"
    ended = demo("--out", str(out), "--open", cwd=tmp_path)  # no terminal, so nothing is opened
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("nothing here speaks of the paper's data") == 2
    lines = ended.stdout.strip().splitlines()
    pages = [line.removeprefix("page: ") for line in lines if line.startswith("page: ")]
    assert pages == [str(out / "reports" / "index.html")]
    page = Path(pages[0])
    text = page.read_text(encoding="utf-8")
    start = lines.index("method        F1 ave")
    scores = {line[:12].strip(): float(line[12:]) for line in lines[start + 1 : start + 5]}
    assert list(scores) == ["STL", "MTL", "MAL", "all positive"]
    too_few = "2 steps are too few to learn: saying yes to everything scores higher. "
    below = max(scores[name] for name in ("STL", "MTL", "MAL")) < scores["all positive"]
    remark = f"{too_few if below else ''}The demo shows the machinery, not results."
    assert remark in lines
    assert f"<strong>{remark}</strong>" in text
    assert not [line for line in lines if "A12" in line or "digests" in line or "GiB" in line]
    assert [line for line in lines if line.startswith("3 trials done")]
    # The command at the end names the store and the one trial that it needs.
    (trial,) = (out / "runs" / "bp4d" / "stl").iterdir()
    assert lines[-1].endswith(f"malbench predict PHOTOS --runs {out / 'runs'} --trial {trial.name.rpartition('-')[2]}")
    for method in ("STL", "MTL", "MAL"):
        assert f"{method} (ours, stand-in, 1 of 3 parts)" in text
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert {file: file.stat().st_mtime_ns for file in (ROOT / "reports").rglob("*")} == reports
    again = demo("--out", str(out), cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.startswith("error: the demonstration needs a folder of its own")


def test_its_settings_are_those_of_the_standin_with_less_of_everything() -> None:
    usual, _ = load_profile("standin")
    changed, _ = load_profile("standin", SETTINGS)
    assert changed.train.steps < usual.train.steps
    assert changed.standin.fe_train < usual.standin.fe_train
    assert changed.method == usual.method
