"""Settings of datasets in a profile, and keys of trials: those of committed results stay."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmark import datasets
from benchmark.config.profile import load_profile
from benchmark.config.settings import DataSettings
from benchmark.config.trial import Trial
from benchmark.core.errors import UserError

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.mark.parametrize(
    "file",
    sorted(set(REPORTS.glob("**/*.parquet")) - set(REPORTS.glob("**/weights.parquet"))),
    ids=lambda file: file.stem,
)
def test_keys_of_committed_trials_still_match(file: Path) -> None:
    table = pq.read_table(file, columns=["table", "trial", "settings"]).to_pylist()
    trials = [row for row in table if row["table"] == "trials"]
    assert len(trials) >= 30
    for row in trials:
        assert Trial.model_validate_json(row["settings"]).key == row["trial"]


def test_the_fe_dataset_is_part_of_a_key_unless_it_is_the_papers() -> None:
    assert "fe" not in DataSettings().model_dump()
    assert DataSettings(fe="moods").model_dump()["fe"] == "moods"
    assert DataSettings.model_validate(DataSettings().model_dump()).fe == "rafdb"


def test_an_unknown_table_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="unknown setting 'disfaa'") as caught:
        load_profile("smoke", ["disfaa.camera=left"])
    assert "did you mean 'disfa'?" in str(caught.value)


def test_a_wrong_setting_of_a_dataset_names_the_nearest_key() -> None:
    profile, _ = load_profile("smoke", ["gft.splitt=x"])
    with pytest.raises(UserError, match=r"unknown setting 'gft\.splitt'") as caught:
        datasets.check_settings(profile)
    assert "did you mean 'gft.split'?" in str(caught.value)


@pytest.mark.parametrize("name", ["name", "path", "sections", "overridden"])
def test_internal_fields_are_no_settings(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'{name} = "x"\n[train]\nsteps = 3\n', encoding="utf-8")
    with pytest.raises(UserError, match="unknown setting"):
        load_profile(str(file))


def test_seeds_have_a_bound() -> None:
    assert load_profile("smoke", [f"seeds=[{2**63 - 1}]"])[0].seeds == (2**63 - 1,)
    with pytest.raises(UserError, match="seeds"):
        load_profile("smoke", [f"seeds=[{2**63}]"])


def test_a_declared_dataset_is_opened_under_its_name() -> None:
    overrides = ["datasets.mine.reader=csv", "datasets.mine.title=Mine", "datasets.mine.folds=4"]
    profile, changed = load_profile("smoke", overrides)
    assert changed == tuple(sorted(overrides))
    dataset = datasets.open_au("mine", profile)
    assert (dataset.name, dataset.title, len(dataset.protocol.parts)) == ("mine", "Mine", 4)
    assert "mine" in datasets.names("au", profile)
    assert "mine" not in datasets.names("fe", profile)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["datasets.mine.reader=cvs"], "did you mean 'csv'?"),
        (["datasets.bp4d.reader=csv"], "the name 'bp4d' is taken"),
        (["datasets.mine.reader=csv", "datasets.mine.foldss=4"], "did you mean 'datasets.mine.folds'?"),
    ],
)
def test_wrong_declarations(overrides: list[str], says: str) -> None:
    profile, _ = load_profile("smoke", overrides)
    with pytest.raises(UserError) as caught:
        datasets.check_settings(profile)
    assert says in str(caught.value)
