"""Networks on the people of another dataset: counts by hand, keys, resume, and the matrix from the file alone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from benchmark import api
from benchmark.api.cross import CrossRequest, _request, check_cross, plan_cross, write_cross_page
from benchmark.api.listener import Listener
from benchmark.api.request import Execution, GridRequest
from benchmark.api.results import read_results, write_report
from benchmark.api.series import Series
from benchmark.core.errors import UserError
from benchmark.data.augment import ImageInput
from benchmark.data.trial_data import TrialData
from benchmark.report.cross import cross_context
from benchmark.report.groups import group_results
from benchmark.store.folder import TrialFolder, trial_folders
from benchmark.store.record import read_trial
from benchmark.store.results import Results
from benchmark.store.summary import summaries
from benchmark.trials.elsewhere import check_people
from benchmark.trials.runner import Outcome
from benchmark.trials.setup import set_up
from benchmark.trials.states import OutcomeState
from methods.stl import STL
from tests.grids import expanded
from tests.trials.test_verify import make_stale

SHARED = ("AU1", "AU2", "AU4", "AU6", "AU12")
SETTINGS = (
    *("method.backbone=test_resnet", "train.steps=2", "data.frame_size=36", "disfa.start.method="),
    *("disfa.standin_frames=4", "standin.fe_train=16", "standin.fe_test=0"),
)


@dataclass(frozen=True)
class Ran:
    """A matrix of two datasets that has run."""

    request: CrossRequest
    series: Series
    outcomes: list[Outcome]

    @property
    def runs(self) -> Path:
        return self.request.grid.runs

    def folders(self) -> dict[str, TrialFolder]:
        """Folders by label of the trial."""
        trials = [trial for titled in self.series.grids for trial in titled.grid.trials]
        return {trial.label: TrialFolder(trial.folder(self.runs)) for trial in trials}


def run(request: CrossRequest) -> Ran:
    series = plan_cross(request)
    outcomes: list[Outcome] = []

    def run_grid(grid) -> list[Outcome]:
        outcomes.extend(grid.run())
        return outcomes

    series.run(run_grid, threads=1)
    return Ran(request, series, outcomes)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    home = tmp_path_factory.mktemp("cross")
    grid = GridRequest(
        "disfa",
        methods=("stl",),
        profile="smoke",
        overrides=SETTINGS,
        runs=home / "runs",
        cache=home / "cache",
        execution=Execution("cpu", threads=1),
    )
    return run(CrossRequest(("disfa", "gft"), ("disfa", "gft"), grid))


def test_every_network_is_trained_once_and_tested_on_the_other_dataset(ran: Ran) -> None:
    assert [outcome.state for outcome in ran.outcomes] == [OutcomeState.RAN] * 8
    assert sorted(ran.folders()) == [
        *(f"disfa stl part{part} seed 0{on}" for part in (1, 2, 3) for on in ("", " on gft")),
        "gft stl test seed 0",
        "gft stl test seed 0 on disfa",
    ]
    with_model = {label for label, folder in ran.folders().items() if (folder.path / "model.safetensors").is_file()}
    assert with_model == {label for label in ran.folders() if " on " not in label}


def test_counts_are_those_of_the_stored_network(ran: Ran) -> None:
    """The network is built anew from its file, and scikit-learn scores it."""
    trained = ran.folders()["disfa stl part2 seed 0"]
    grid = ran.series.grids[0].grid
    trial, _ = read_trial(trained)
    protocol, data = grid.data.others["gft"]
    spec = set_up(trial, STL, grid.data.protocol, grid.data.frames, torch.device("cpu")).spec
    network = STL.build(STL.HParams.model_validate(trial.hparams), spec, torch.device("cpu"))
    network.load_state_dict(trained.load_model())
    network.eval()
    rows = np.flatnonzero(data.au.faces.table["subject"].isin(protocol.parts["test"]))
    images = ImageInput(trial.data.crop_size, trial.data.normalise, torch.device("cpu"))
    with torch.no_grad():
        logits = network.predict(images.test(data.au.frames[rows])).numpy()
    scores = ran.folders()["disfa stl part2 seed 0 on gft"].read_table("scores.parquet", {}).set_index("au")
    assert tuple(scores.index) == SHARED
    unknown = 0
    for au in SHARED:
        truth = data.au.faces.labels[rows, data.au.faces.label_names.index(au)]
        given = logits[:, grid.data.protocol.au_names.index(au)]
        known = truth >= 0
        unknown += int((~known).sum())
        assert scores.loc[au, "f1"] == pytest.approx(f1_score(truth[known], given[known] > 0))
        if len(set(truth[known].tolist())) == 2:
            assert scores.loc[au, "ap"] == pytest.approx(average_precision_score(truth[known], given[known]), rel=1e-6)
        else:
            assert np.isnan(scores.loc[au, "ap"])
    assert unknown  # they are there, and count for nothing


def test_the_trainings_are_the_usual_trials(ran: Ran) -> None:
    grid = ran.series.grids[1].grid
    prints = grid.data.frames.fingerprints
    usual = expanded(
        grid.data.protocol, grid.data.profile, grid.data.overrides, grid.registry, prints, methods=("stl",)
    )
    assert [trial.key for trial in usual] == [grid.trials[0].key]
    assert "tested" not in grid.trials[0].model_dump()
    assert len({trial.key for trial in grid.trials}) == len(grid.trials)


def test_a_second_run_does_nothing(ran: Ran) -> None:
    assert {outcome.state for outcome in run(ran.request).outcomes} == {OutcomeState.DONE}


def test_the_diagonal_is_the_normal_result_on_the_common_aus(ran: Ran) -> None:
    results = read_results(ran.runs)
    made = {matrix.title: matrix.table for matrix in cross_context(results).matrices}["STL: F1"]
    own = results.trials[(results.trials["tested"] == "") & (results.trials["dataset"] == "disfa")]
    scores = results.scores[results.scores["trial"].isin(own["trial"]) & results.scores["au"].isin(SHARED)]
    expected = 100 * scores.groupby("au")["f1"].mean().mean()
    assert made.header == ("STL", "tested on DISFA", "tested on GFT")
    assert made.rows[1][1].text == f"{expected:.1f}"
    assert made.rows[1][1].mark == "bold"


def test_other_cells_are_means_over_networks_and_test_parts(ran: Ran) -> None:
    results = read_results(ran.runs)
    made = {matrix.title: matrix.table for matrix in cross_context(results).matrices}["STL: F1"]
    protocol = ran.series.grids[0].grid.data.protocol
    part_of = {subject: part for part, people in protocol.parts.items() for subject in people}
    (key,) = results.trials.loc[results.trials["tested"] == "disfa", "trial"]
    counts = results.counts[results.counts["trial"] == key]
    cells = counts.groupby([counts["subject"].map(part_of), "au"])[["tp", "fp", "fn"]].sum()
    f1 = 2 * cells["tp"] / (2 * cells["tp"] + cells["fp"] + cells["fn"])
    assert made.rows[2][1].text == f"{100 * f1.groupby('au').mean().mean():.1f}"
    on_gft = results.trials.loc[results.trials["tested"] == "gft", "trial"]
    assert len(on_gft) == 3
    scores = results.scores[results.scores["trial"].isin(on_gft)]
    assert made.rows[1][2].text == f"{100 * scores.groupby('au')['f1'].mean().mean():.1f}"


def test_the_page_from_the_results_file_alone(ran: Ran, tmp_path: Path) -> None:
    page = write_cross_page(ran.runs, tmp_path / "a")
    again = write_cross_page(tmp_path / "a" / "cross.parquet", tmp_path / "b")
    assert page.read_bytes() == again.read_bytes()
    assert b"nan" not in page.read_bytes()


def test_the_report_shows_the_matrix_that_lies_in_its_folder(ran: Ran, tmp_path: Path) -> None:
    write_cross_page(ran.runs, tmp_path)
    write_report(ran.runs, tmp_path)
    for name in ("audit.md", "index.html", "tables.tex"):
        assert "tested on its own dataset" in (tmp_path / name).read_text(), name
    (answer,) = [
        line for line in (tmp_path / "audit.md").read_text().splitlines() if line.startswith("**Other datasets")
    ]
    assert "F1 changes by, in the mean: STL " in answer


def test_reports_on_own_results_leave_these_trials_out(ran: Ran) -> None:
    groups = group_results(read_results(ran.runs))
    assert {(group.dataset, len(group.results.trials)) for group in groups} == {("disfa", 3), ("gft", 1)}
    alone = read_results(ran.runs)
    with pytest.raises(UserError, match="no trial"):
        group_results(alone.select(alone.trials.loc[alone.trials["tested"] != "", "trial"]))


def test_lists_say_where_a_network_was_tested(ran: Ran) -> None:
    assert {seen.part for seen in summaries(ran.runs) if seen.dataset == "gft"} == {"test", "test on disfa"}


@pytest.mark.parametrize("column", ["own_digest", "shared_digest", "fingerprint"])
def test_results_of_two_settings_make_no_matrix(ran: Ran, column: str) -> None:
    results = read_results(ran.runs)
    other = (results.trials["tested"] == "") & (results.trials["part"] == "part1")
    changed = results.trials.assign(**{column: results.trials[column].mask(other, "x")})
    with pytest.raises(UserError, match=f"stl on disfa with several values of {column}"):
        cross_context(replace(results, trials=changed))


def test_datasets_of_two_profiles_make_no_matrix(ran: Ran) -> None:
    results = read_results(ran.runs)
    other = results.trials["profile"].mask(results.trials["dataset"] == "gft", "paper")
    with pytest.raises(UserError, match="several values of profile"):
        cross_context(replace(results, trials=results.trials.assign(profile=other)))


def test_a_newer_version_of_a_method_replaces_the_older_one(ran: Ran) -> None:
    results = read_results(ran.runs)
    older = results.trials.assign(trial="old " + results.trials["trial"], method_version=0, stale=True)
    counts = results.counts.assign(trial="old " + results.counts["trial"], tp=0)
    both = replace(results, trials=pd.concat([older, results.trials]), counts=pd.concat([counts, results.counts]))
    assert cross_context(both).matrices == cross_context(results).matrices


@pytest.mark.parametrize("in_file", [False, True], ids=["store", "file"])
def test_it_is_verified_with_its_network(ran: Ran, tmp_path: Path, *, in_file: bool) -> None:
    """A network whose training differs leaves its tests on other datasets stale."""
    runs = Path(shutil.copytree(ran.runs, tmp_path / "runs"))
    of_label = {read_trial(folder)[0].label: folder for folder in trial_folders(runs)}
    of_label = {label: folder for label, folder in of_label.items() if label.startswith("disfa")}
    changed = of_label["disfa stl part2 seed 0"]
    history = pd.read_parquet(changed.path / "history.parquet")
    history.loc[0, "loss_au"] *= 1.001
    history.to_parquet(changed.path / "history.parquet", index=False)
    for folder in of_label.values():
        make_stale(folder)
    file = tmp_path / "results.parquet"
    read_results(runs).write(file)
    options = {"cache": ran.request.grid.cache, "device": "cpu", "threads": 1, "results": file if in_file else None}
    found = {o.label: o.agreement for o in api.verify(runs, **options)}  # type: ignore[arg-type]
    expected = {label: "cannot be verified" if "part2" in label else "bit for bit" for label in of_label}
    assert found == expected | {"disfa stl part2 seed 0": "differs"}
    trials = read_results(file if in_file else runs).trials
    assert set(trials.loc[trials["stale"], "part"]) == {"part2"}


def test_people_of_the_standins_are_others(ran: Ran) -> None:
    grid = ran.series.grids[0].grid
    check_people((grid.data.protocol, grid.data.frames), grid.data.others["gft"])


def renamed(data: TrialData, prefix: str) -> TrialData:
    table = data.au.faces.table
    faces = replace(data.au.faces, table=table.assign(subject=prefix + table["subject"]))
    return replace(data, au=replace(data.au, faces=faces))


def test_a_person_in_both_datasets_is_refused(ran: Ran) -> None:
    grid = ran.series.grids[0].grid
    place = grid.data.protocol, grid.data.frames
    with pytest.raises(UserError, match="the same names"):
        check_people(place, place)
    with pytest.raises(UserError, match="share people"):  # the same people under other names
        check_people(place, (place[0], renamed(place[1], "other ")))


def test_no_backbone_starts_from_a_tested_dataset(tmp_path: Path) -> None:
    said: list[str] = []
    request = CrossRequest(("disfa",), ("bp4d",), GridRequest("disfa", profile="smoke"))
    assert _request(request, "disfa", Listener(note=said.append)).overrides == ("disfa.start.method=",)
    assert "do not start from bp4d" in said[0]
    on_gft = replace(request, test=("gft",))
    assert _request(on_gft, "disfa", Listener(note=said.append)).overrides == ()


def test_one_dataset_is_no_matrix() -> None:
    with pytest.raises(UserError, match="on another dataset"):
        check_cross(CrossRequest(("gft",), ("gft",), GridRequest("gft", profile="smoke")))
    with pytest.raises(UserError, match="no network was tested"):
        cross_context(Results.empty())


def test_a_results_file_without_the_column_is_of_own_results() -> None:
    assert (Results.empty().trials.drop(columns="tested").columns == "tested").sum() == 0
    trials = pd.DataFrame(columns=[c for c in Results.empty().trials.columns if c != "tested"])
    assert "tested" in replace(Results.empty(), trials=trials).trials
