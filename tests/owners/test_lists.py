"""Lists of frames: held against the known ones, read as a choice of frames, and made a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import datasets
from benchmark.api.lists import compare_list, import_lists
from benchmark.config.profile import load_profile
from benchmark.core.errors import UserError
from benchmark.data.known import read_known_csv, read_known_rates
from benchmark.datasets.base import ReadOptions
from benchmark.datasets.bp4d import HERE
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.trials.prepare import read_au
from tests.owners import mock


def write_list(file: Path, shift: int = 0, drop: frozenset[str] = frozenset()) -> Path:
    lines = [
        f"BP4D/{row['subject']}/{row['task']}/{frame + shift:04d}.jpg\n"
        for row in read_known_csv(HERE / "known_ranges.csv").to_dict("records")
        for frame in range(row["first"], row["last"] + 1)
        if f"{row['subject']}/{row['task']}" not in drop
    ]
    file.write_text("".join(lines))
    return file


def test_a_full_list_fits_and_a_shifted_one_says_by_how_much(tmp_path: Path) -> None:
    whole = compare_list("bp4d", write_list(tmp_path / "a.txt"))
    assert whole.rows == (
        ("all", 146_847, 146_847),
        ("part1", 50_631, 50_631),
        ("part2", 50_182, 50_182),
        ("part3", 46_034, 46_034),
    )
    assert (whole.shift, whole.inside, whole.differing, whole.remarks) == (0, 1.0, (), ())
    shifted = compare_list("bp4d", write_list(tmp_path / "b.txt", shift=-1, drop=frozenset({"F017/T3"})))
    assert (shifted.shift, shifted.inside) == (1, 1.0)
    assert shifted.differing == ("F017/T3 0 of 450",)
    assert shifted.nearest == "AU-Net: 146,538"


def test_a_list_of_the_right_camera_says_so(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("".join(f"RightVideo/SN001/SN001_{k}.png\n" for k in range(4845)))
    outcome = compare_list("disfa", file)
    assert outcome.remarks == ("names of the right camera",)
    assert (outcome.shift, outcome.inside) == (0, 1.0)


def test_listed_frames_alone_are_read(tmp_path: Path) -> None:
    mock.bp4d(tmp_path)
    (tmp_path / "mine.txt").write_text("F001/T1/0095.jpg\nF001/T1/97.jpg\n")
    profile, _ = load_profile("paper", ["bp4d.frames=mine.txt"])
    dataset = datasets.open_au("bp4d", profile)
    faces = read_au(tmp_path, dataset, dataset.protocol, profile)
    assert faces.table[["sequence", "frame"]].to_numpy().tolist() == [["F001/T1", 95], ["F001/T1", 97]]
    assert "frames of a list: 2 of 48 coded ones" in faces.note
    (tmp_path / "mine.txt").write_text("F001/T1/0094.jpg\n")
    with pytest.raises(UserError, match="1 listed frames have no labels, the first is frame 94"):
        read_au(tmp_path, dataset, dataset.protocol, profile)
    (tmp_path / "mine.txt").write_text("F001/T1/0095.jpg\nF001/T9/0095.jpg\n")
    with pytest.raises(UserError, match="1 sequences of the list have no coding file, the first is F001/T9"):
        read_au(tmp_path, dataset, dataset.protocol, profile)


def lists_of(root: Path) -> tuple[list[Path], list[Path]]:
    """Crops of BP4D with a list and labels a part, as JAA-Net has them."""
    rates = read_known_rates(HERE / "known_rates.csv")["all"]
    rng = np.random.default_rng(3)
    names, labels = [], []
    for subject in mock.PEOPLE:
        for task in ("T1", "T2"):
            (root / f"BP4D/{subject}/{task}").mkdir(parents=True)
            for frame in range(1, 86):
                Image.new("RGB", (8, 8)).save(root / f"BP4D/{subject}/{task}/{frame}.jpg")
    for part, subjects in BP4D.parts.items():
        images = [
            p for s in sorted(set(subjects) & set(mock.PEOPLE)) for p in sorted((root / f"BP4D/{s}").rglob("*.jpg"))
        ]
        names.append(root / f"BP4D_{part}_path.txt")
        names[-1].write_text("".join(f"BP4D/{p.relative_to(root / 'BP4D').as_posix()}\n" for p in images))
        labels.append(root / f"BP4D_{part}_AUoccur.txt")
        drawn = (rng.random((len(images), 12)) * 100 < [rates[au] for au in BP4D.au_names]).astype(int)
        np.savetxt(labels[-1], drawn, fmt="%d")
    return names, labels


def test_crops_with_lists_become_a_dataset(tmp_path: Path) -> None:
    names, labels = lists_of(tmp_path)
    swapped = [path.with_suffix(".swapped") for path in labels]
    for path, other in zip(labels, swapped, strict=True):
        np.savetxt(other, np.loadtxt(path, dtype=int)[:, ::-1], fmt="%d")
    with pytest.raises(UserError, match="the columns of the labels are not AU1, AU2"):
        import_lists("bp4d", tmp_path / "BP4D", names, swapped)
    written = import_lists("bp4d", tmp_path / "BP4D", names, labels)
    text = Path("benchmark/config/profiles/smoke.toml").read_text() + written.profile.read_text()
    (tmp_path / "mine.toml").write_text(text)
    settings, _ = load_profile(str(tmp_path / "mine.toml"), [])
    dataset = datasets.open_au("bp4d_crops", settings)
    protocol = dataset.protocol_at(tmp_path)
    assert {part: set(people) for part, people in protocol.parts.items()} == {
        part: set(people) & set(mock.PEOPLE) for part, people in BP4D.parts.items()
    }
    faces = dataset.read(tmp_path, protocol, ReadOptions())
    assert len(faces) == sum(len(path.read_text().splitlines()) for path in names)
    sums = sum(np.loadtxt(path, dtype=int).sum(axis=0) for path in labels)
    assert dict(zip(faces.label_names, faces.labels.sum(axis=0), strict=True)) == dict(
        zip(BP4D.au_names, sums, strict=True)
    )
    with pytest.raises(UserError, match="a file would be overwritten"):
        import_lists("bp4d", tmp_path / "BP4D", names, labels)
    written.table.unlink()
    written.profile.unlink()
    with pytest.raises(UserError, match="an image stands on two lists"):
        import_lists("bp4d", tmp_path / "BP4D", [names[0], names[0]], [labels[0], labels[0]])


FORMATS = {
    "JAA-Net BP4D": ("bp4d", "BP4D/{s}/{t}/{n:04d}.jpg", "BP4D_{p}_path.txt", "BP4D_{p}_AUoccur.txt"),
    "ME-GraphAU BP4D": ("bp4d", "{s}/{t}/{n}.jpg", "BP4D_test_img_path_{p}.txt", "BP4D_test_label_{p}.txt"),
    "JAA-Net DISFA": ("disfa", "DISFA/{s}/{n}.jpg", "DISFA_{p}_path.txt", "DISFA_{p}_AUoccur.txt"),
    "ME-GraphAU DISFA": ("disfa", "{s}/{n}.png", "DISFA_test_img_path_{p}.txt", "DISFA_test_label_{p}.txt"),
    "MDHR DISFA": ("disfa", "{s}/{s}_{n}.png", "DISFA_test_img_path_{p}.txt", "DISFA_test_label_{p}.txt"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_public_formats_are_imported_with_their_frames_and_labels(name: str, tmp_path: Path) -> None:
    """Names and numbers as on the lists of each repository; binary labels, also of DISFA."""
    dataset, line, list_name, label_name = FORMATS[name]
    profile, _ = load_profile("paper", [])
    au, home = datasets.open_au(dataset, profile), tmp_path / "crops"
    tasks, first = (("T1", "T3"), 9) if dataset == "bp4d" else (("",), 0)
    rng, lists, labels, expected = np.random.default_rng(1), [], [], {}
    for part, subjects in au.protocol.parts.items():
        names, rows = [], []
        for subject in subjects[:2]:
            for task in tasks:
                for number in range(first, first + 3):
                    names.append(line.format(s=subject, t=task, n=number))
                    rows.append(rng.integers(0, 2, len(au.protocol.aus)).tolist())
                    sequence = f"{subject}/{task or 1}"
                    expected[sequence, number + au.list_offset] = (part, rows[-1])
        for image in names:
            file = home / image.removeprefix("BP4D/").removeprefix("DISFA/")
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(file)
        lists.append(tmp_path / list_name.format(p=part))
        labels.append(tmp_path / label_name.format(p=part))
        lists[-1].write_text("\r\n".join(names) + "\r\n")
        np.savetxt(labels[-1], rows, fmt="%d")
    written = import_lists(dataset, home, lists, labels)
    text = Path("benchmark/config/profiles/smoke.toml").read_text() + written.profile.read_text()
    (tmp_path / "mine.toml").write_text(text)
    crops = datasets.open_au(f"{dataset}_crops", load_profile(str(tmp_path / "mine.toml"), [])[0])
    protocol = crops.protocol_at(tmp_path)
    faces = crops.read(tmp_path, protocol, ReadOptions())
    part_of = {subject: part for part, subjects in protocol.parts.items() for subject in subjects}
    table = faces.table
    read = {
        (s, f): (part_of[subject], row)
        for s, f, subject, row in zip(
            table["sequence"], table["frame"], table["subject"], faces.labels.tolist(), strict=True
        )
    }
    assert read == expected
    assert faces.label_names == au.protocol.au_names
    assert len(written.alike) == len(au.protocol.aus) * (len(au.protocol.aus) - 1) // 2  # too few rows to judge


def test_intensities_on_a_list_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "SN001").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "SN001/0.png")
    (tmp_path / "names.txt").write_text("SN001/0.png\n")
    (tmp_path / "labels.txt").write_text("0 0 3 0 0 0 5 1\n")
    with pytest.raises(UserError, match="intensities must be made 0 and 1 first"):
        import_lists("disfa", tmp_path, [tmp_path / "names.txt"], [tmp_path / "labels.txt"])
