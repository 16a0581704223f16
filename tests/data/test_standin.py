"""The stand-in: deterministic bytes, exact base rates, the official layouts, and AUs that show."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from benchmark.config.settings import StandinSettings
from benchmark.core.errors import UserError
from benchmark.data.check import check_au
from benchmark.data.faces import JPEG_COMMENT, MARKER, MARKER_FORMAT
from benchmark.data.known import known_clear
from benchmark.datasets.base import AuDataset, ReadOptions
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.datasets.bp4d.reader import read_bp4d
from benchmark.datasets.bp4d.standin import CODED_COLUMNS
from benchmark.datasets.rafdb.reader import EMOTIONS
from benchmark.standin import pictures
from benchmark.standin.drawn.identity import draw_identity
from benchmark.standin.drawn.render import render_face
from benchmark.standin.expressions import BASIC, HARMFUL, Place, class_counts, draw_expression, plan_expressions
from benchmark.standin.looks import LOOKS
from benchmark.standin.sample import BASE_RATES, SCORED_AUS, draw_sequences
from benchmark.standin.terms import DRAWN_AUS
from benchmark.standin.views import Pose, Scene
from tests.standins import draw, opened

TINY = StandinSettings(size=32, frames_per_sequence=2, fe_train=40, fe_test=10)

# Rows of a face seen from the front that each AU may change, in face units (-1 top, 1 bottom).
REGIONS = {
    1: (-0.95, -0.25), 2: (-0.95, -0.25), 4: (-0.75, -0.05), 5: (-0.45, -0.05), 6: (-0.4, 0.4), 7: (-0.4, 0.1),
    9: (-0.6, 0.5), 10: (-0.1, 0.75), 12: (0.0, 0.8), 14: (0.3, 0.75), 15: (0.35, 0.9), 17: (0.3, 1.0),
    23: (0.3, 0.75), 24: (0.3, 0.75), 25: (0.35, 0.75), 26: (0.35, 1.0),
}  # fmt: skip


def digests(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("standin") / "out"
    draw(out, TINY)
    return out


def codes_of(truth: pd.DataFrame) -> pd.Series:
    """RAF-DB's codes, 1 to 7, of the labels in a ground truth."""
    return truth["label"].map({name: code for code, name in enumerate(EMOTIONS, start=1)})


def bp4d() -> AuDataset:
    (dataset,) = opened("bp4d")
    assert isinstance(dataset, AuDataset)
    return dataset


def codings(root: Path) -> dict[str, list[list[str]]]:
    folder = root / "BP4D" / "AUCoding" / "AU_OCC"
    return {p.stem: list(csv.reader(p.read_text().splitlines())) for p in sorted(folder.glob("*.csv"))}


def test_same_settings_give_the_same_bytes_and_another_seed_others(root: Path, tmp_path: Path) -> None:
    draw(tmp_path / "again", TINY)
    draw(tmp_path / "other", TINY.model_copy(update={"seed": 1}))
    first = digests(root)
    assert first == digests(tmp_path / "again")
    other = digests(tmp_path / "other")
    faces = [p for p in first if p.startswith("RAF-DB") and p.endswith(".jpg")]
    assert all(first[p] != other[p] for p in faces)


def test_the_number_of_processes_changes_no_byte(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_SERIAL_BELOW", 0)
    monkeypatch.setattr(pictures, "available_cores", lambda: 2)
    seen: list[tuple[int, int]] = []
    draw(tmp_path / "two", TINY, progress=lambda done, total: seen.append((done, total)))
    assert digests(tmp_path / "two") == digests(root)
    # One count for each dataset.
    ends = [k for k, (done, total) in enumerate(seen, start=1) if done == total]
    assert len(ends) == 2
    images = [p for p in (tmp_path / "two").rglob("*.jpg") if p.parent.name != "original"]
    assert seen[ends[0] - 1][1] + seen[-1][1] == len(images)
    for part in (seen[: ends[0]], seen[ends[0] :]):
        assert part == sorted(part)
        assert part[-1][0] == part[-1][1]


def test_base_rates_are_exact_over_the_known_cells(root: Path) -> None:
    counts = {au: [0, 0] for au in SCORED_AUS}
    nines = cells = 0
    for rows in codings(root).values():
        for row in rows[1:]:
            codes = dict(zip(rows[0], row, strict=True))
            for au in SCORED_AUS:
                code = codes[str(au)]
                cells += 1
                nines += code == "9"
                if code != "9":
                    counts[au][int(code)] += 1
    for au, (absent, present) in counts.items():
        assert abs(present / (absent + present) - BASE_RATES[au]) <= 1 / (absent + present), au
    assert 0.002 < nines / cells < 0.01


def test_intensity_follows_occurrence() -> None:
    coded = np.ones((10, 8, 6), dtype=bool)
    drawn = draw_sequences(np.random.default_rng(0), coded)
    assert drawn.intensity[drawn.occurrence].min() >= 0.4
    assert drawn.intensity[~drawn.occurrence].max() <= 0.3
    assert drawn.intensity.max() <= 1
    one, two = (drawn.occurrence[..., DRAWN_AUS.index(au)].ravel() for au in (1, 2))
    assert np.corrcoef(one, two)[0, 1] > 0.2  # AUs 1 and 2 come together


def test_bp4d_layout(root: Path) -> None:
    files = codings(root)
    assert len(files) == 41 * 8
    assert {"F001_T1", "F023_T8", "M018_T8"} <= set(files)
    firsts, widths, extra = [], set(), 0
    for name, rows in files.items():
        assert rows[0] == ["0", *map(str, CODED_COLUMNS)]
        frames = [int(row[0]) for row in rows[1:]]
        assert frames == list(range(frames[0], frames[0] + 2))
        firsts.append(frames[0])
        assert {row[rows[0].index("27")] for row in rows[1:]} == {"9"}  # nothing draws AU 27
        images = [p.stem for p in (root / "BP4D" / "Sequences(2D+3D)" / name[:4] / name[5:]).glob("*.jpg")]
        assert set(frames) <= {int(stem) for stem in images}
        assert min(int(stem) for stem in images) >= 1
        widths |= {len(stem) for stem in images if stem.startswith("0")}
        extra += len(images) - len(frames)
    assert widths == {3, 4}
    assert extra > 0
    assert 0 < firsts.count(1) < len(firsts) / 4


def test_rafdb_layout(root: Path) -> None:
    basic = root / "RAF-DB" / "basic"
    lines = (basic / "EmoLabel" / "list_patition_label.txt").read_text().splitlines()
    assert len(lines) == 50
    names = [line.split(" ")[0] for line in lines]
    assert names[0] == "train_00001.jpg"
    assert names[40] == "test_0001.jpg"
    aligned = {p.name for p in (basic / "Image" / "aligned").iterdir()}
    assert aligned == {name.replace(".jpg", "_aligned.jpg") for name in names}
    labels = [int(line.split(" ")[1]) for line in lines[:40]]
    assert [labels.count(code) for code in range(1, 8)] == class_counts(40)
    assert sum(class_counts(12_271)) == 12_271
    assert class_counts(12_271)[3] == 4772


def test_marker_and_jpeg_comment(root: Path) -> None:
    marker = json.loads((root / MARKER).read_text())
    assert marker["format"] == MARKER_FORMAT
    assert StandinSettings(**marker["settings"]) == TINY
    for path in list(root.rglob("*.jpg"))[::50]:
        with Image.open(path) as image:
            assert image.info["comment"] == JPEG_COMMENT
            assert image.size == ((48, 48) if path.parent.name == "original" else (32, 32))
            assert image.mode == "RGB"


def test_truth_matches_the_files(root: Path) -> None:
    frames = pd.read_parquet(root / "truth" / "bp4d.parquet")
    assert set(frames["path"]) == {p.relative_to(root).as_posix() for p in (root / "BP4D").rglob("*.jpg")}
    files = codings(root)
    known = 0
    for row in frames[frames["coded"]].itertuples():
        rows = files[f"{row.subject}_{row.task}"]
        codes = {int(r[0]): dict(zip(rows[0], r, strict=True)) for r in rows[1:]}[row.frame]
        for au in DRAWN_AUS:
            code = codes.get(str(au), "9")  # 25 and 26 are drawn, not coded
            if code != "9":
                known += 1
                assert (getattr(row, f"AU{au}") > 0.35) == (code == "1")
    assert known > 0.98 * 14 * int(frames["coded"].sum())
    assert {"yaw", "pitch", "roll", "scale", "light"} <= set(frames.columns)

    faces = pd.read_parquet(root / "truth" / "rafdb.parquet")
    lines = (root / "RAF-DB" / "basic" / "EmoLabel" / "list_patition_label.txt").read_text().splitlines()
    names = [Path(path).name.replace("_aligned", "") for path in faces["path"]]
    assert [f"{name} {code}" for name, code in zip(names, codes_of(faces), strict=True)] == lines
    assert faces["kind"].value_counts().to_dict() == {"clear": 35, "cue_only": 7, "wrong_label": 8}
    wrong = faces["kind"] == "wrong_label"
    assert (faces["label"] != faces["true_label"]).equals(wrong)
    assert faces.loc[faces["kind"] == "cue_only", [f"AU{au}" for au in DRAWN_AUS]].to_numpy().max() < 0.1
    means = faces.groupby("kind")["consistency"].mean()
    assert means["clear"] > means["cue_only"] > means["wrong_label"]


def test_expressions_follow_their_prototypes() -> None:
    rng = np.random.default_rng(0)
    mean = {
        code: np.mean([draw_expression(rng, each) for _ in range(200)], axis=0)
        for code, each in enumerate(BASIC, start=1)
    }
    smile, corner = DRAWN_AUS.index(12), DRAWN_AUS.index(15)
    assert mean[4][smile] > 0.6
    assert mean[5][smile] < 0.1
    assert mean[5][corner] > 0.5
    assert mean[7].max() < 0.1


@pytest.mark.parametrize("au", DRAWN_AUS)
def test_each_au_changes_its_region(au: int) -> None:
    size, k = 64, DRAWN_AUS.index(au)
    rows = np.linspace(-1, 1, size)
    inside = (rows >= REGIONS[au][0]) & (rows <= REGIONS[au][1])
    for person in range(3):
        who = draw_identity(np.random.default_rng(person))
        still = np.zeros(len(DRAWN_AUS))
        moved = still.copy()
        moved[k] = 1
        a, b = (render_face(who, v.tolist(), Pose(), Scene(), size).astype(float) for v in (still, moved))
        change = np.abs(a - b).mean(axis=(1, 2))
        assert change[inside].mean() > 0.5
        assert change[inside].sum() > 3 * change[~inside].sum()


def test_an_image_has_its_size_and_its_own_noise() -> None:
    who = draw_identity(np.random.default_rng(0))
    noisy = [render_face(who, [0.0] * 16, Pose(yaw=0.3), Scene(noise=4, noise_seed=s), size=48) for s in (1, 1, 2)]
    assert noisy[0].shape == (48, 48, 3)
    assert noisy[0].dtype == np.uint8
    assert (noisy[0] == noisy[1]).all()
    assert (noisy[0] != noisy[2]).any()


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        draw(out, TINY)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (out / "mine.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "out", TINY, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    draw(out, StandinSettings(size=16, frames_per_sequence=1, fe_train=1, fe_test=0))
    assert (out / MARKER).is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("wrong", [{"size": 4}, {"fe_ambiguous": 1.5}, {"frames": 3}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        StandinSettings(**wrong)


def truth_of(out: Path, **settings: float) -> pd.DataFrame:
    draw(out, TINY.model_copy(update={"fe_train": 400, "fe_test": 0, **settings}), "rafdb")
    truth = pd.read_parquet(out / "truth/rafdb.parquet")
    return truth.assign(label=codes_of(truth))


def test_dials_of_the_expression_images(tmp_path: Path) -> None:
    usual = truth_of(tmp_path / "usual")
    assert usual["kind"].value_counts().to_dict() == {"clear": 280, "cue_only": 60, "wrong_label": 60}
    assert 7 not in set(usual.loc[usual["kind"] == "cue_only", "label"])  # a neutral face without AUs is clear
    assert 7 in set(usual.loc[usual["kind"] == "clear", "label"])
    wrong = truth_of(tmp_path / "wrong", fe_ambiguous=0.5, fe_cue_only=0.0)
    assert wrong["kind"].value_counts().to_dict() == {"clear": 200, "wrong_label": 200}
    mixed = truth_of(tmp_path / "mixed", fe_relevance=0.0, fe_ambiguous=0.0)
    happy = mixed["label"] == 4
    # AU 12 is in nearly every happy face, and in a share of BP4D's rate of each class where labels tell nothing.
    clear = usual[usual["kind"] == "clear"]
    assert (clear.loc[clear["label"] == 4, "AU12"] > 0.4).mean() > 0.85
    assert abs((mixed.loc[happy, "AU12"] > 0.4).mean() - BASE_RATES[12]) < 0.12


def test_fewer_subjects_are_as_many_of_each_part_and_otherwise_the_same(root: Path, tmp_path: Path) -> None:
    draw(tmp_path / "few", TINY.model_copy(update={"au_subjects": 7}))
    faces = read_bp4d(tmp_path / "few", BP4D)
    assert [len(set(faces.table["subject"]) & set(part)) for part in BP4D.parts.values()] == [3, 2, 2]
    assert not check_au(faces, bp4d(), BP4D).findings
    whole = digests(root)
    same = {name for name, each in digests(tmp_path / "few").items() if whole.get(name) == each}
    assert {
        f"BP4D/AUCoding/AU_OCC/{sequence}.csv" for sequence in faces.table["sequence"].str.replace("/", "_")
    } <= same
    assert set(faces.table["path"]) <= same


def test_marked_frames_hold_no_face_and_no_known_label(tmp_path: Path) -> None:
    settings = TINY.model_copy(update={"au_marked": 0.3, "fe_train": 1, "fe_test": 0})
    draw(tmp_path / "out", settings)
    truth = pd.read_parquet(tmp_path / "out/truth/bp4d.parquet")
    coded = truth[truth["coded"]]
    assert 0.2 < coded["marked"].mean() < 0.4
    assert not truth.loc[~truth["coded"], "marked"].any()
    faces = read_bp4d(tmp_path / "out", BP4D)
    marked = coded.set_index("path")["marked"].reindex(faces.table["path"]).to_numpy()
    assert (faces.labels[marked] == -1).all()
    assert (faces.labels[~marked] >= 0).mean() > 0.98
    # The stand-in's own check finds nothing wrong with it.
    assert not check_au(faces, bp4d(), BP4D).findings


def test_marked_images_hold_no_face_and_labels_that_say_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    truth = truth_of(out, fe_marked=0.5)
    marked = truth["kind"] == "marked"
    assert marked.sum() == 200
    assert (truth.loc[marked, [f"AU{au}" for au in DRAWN_AUS]] == 0).all(axis=None)
    assert truth.loc[marked, "label"].value_counts().min() >= 15  # 200 over seven classes, evenly
    assert truth.loc[~marked, "label"].value_counts().idxmax() == 4
    # Colours of neighbouring blocks have nothing to do with one another; those of a face do.
    jumps = {
        kind: np.mean([np.abs(np.diff(np.asarray(Image.open(out / path), float), axis=1)).mean() for path in paths])
        for kind, paths in (("marked", truth.loc[marked, "path"]), ("face", truth.loc[~marked, "path"]))
    }
    assert jumps["marked"] > 1.5 * jumps["face"]


@pytest.mark.parametrize("look", list(LOOKS))
def test_harmful_images_are_visibly_of_a_kind_and_their_labels_mislead(look: str, tmp_path: Path) -> None:
    dials = {"fe_harmful": 0.4, "fe_harmful_look": look, "fe_train": 60, "fe_test": 0, "fe_ambiguous": 0.0}
    few = TINY.model_copy(update=dials | {"frames_per_sequence": 1, "au_subjects": 6, "size": 48})
    plain = few.model_copy(update={"fe_harmful": 0.0})
    for name, settings in (("harmful", few), ("plain", plain)):
        draw(tmp_path / name, settings)
    truth, before = (pd.read_parquet(tmp_path / name / "truth/rafdb.parquet") for name in ("harmful", "plain"))
    harmful = truth["kind"] == HARMFUL
    assert harmful.sum() == 24
    assert (truth.loc[~harmful, "kind"] == "clear").all()
    # The same class is misnamed in the same way each time.
    assert (truth.loc[harmful, "label"] != truth.loc[harmful, "true_label"]).all()
    pairs = truth.loc[harmful, ["true_label", "label"]].drop_duplicates()
    assert not pairs["true_label"].duplicated().any()
    assert (truth.loc[~harmful, "label"] == truth.loc[~harmful, "true_label"]).all()
    pd.testing.assert_frame_equal(truth.filter(like="AU"), before.filter(like="AU"))
    changes = [
        np.abs(np.asarray(Image.open(tmp_path / "harmful" / a), float) - np.asarray(Image.open(tmp_path / "plain" / b)))
        for a, b in zip(truth["path"], before["path"], strict=True)
    ]
    changed = np.array([change.mean() for change in changes])
    assert changed[harmful].min() > 2
    assert (changed[~harmful] == 0).all()
    assert not known_clear_of(tmp_path / "harmful", truth)[harmful].any()


def known_clear_of(root: Path, truth: pd.DataFrame) -> np.ndarray:
    """Knowledge of the control that knows the truth, by image of the table."""
    faces = opened("rafdb")[0].read(root, ReadOptions(images="all"))
    known = known_clear(faces)
    assert known is not None
    return pd.Series(known, index=faces.table["path"]).reindex(truth["path"]).to_numpy()


def test_strength_and_labels_of_harmful_images() -> None:
    def truth_of(**dials: object) -> pd.DataFrame:
        settings = TINY.model_copy(update={"fe_harmful": 1.0, "fe_ambiguous": 0.0} | dials)
        return plan_expressions(settings, BASIC, lambda split, n, _: Place(f"{split}{n}"), [("train", 400, 1)])[0]

    half, useless = truth_of(fe_harmful_strength=0.5), truth_of(fe_harmful_label="random")
    assert 0.4 < (half["label"] != half["true_label"]).mean() < 0.6
    assert (useless["label"] != useless["true_label"]).all()
    assert (useless.groupby("true_label")["label"].nunique() > 3).sum() >= 5
    with pytest.raises(ValidationError, match="more than all images"):
        StandinSettings(fe_marked=0.6, fe_harmful=0.5)
