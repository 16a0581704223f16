"""Results of methods that never ran: counts drawn around a skill, curves that fall."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.faces import FaceSet
from benchmark.datasets.bp4d.protocol import BP4D
from benchmark.stats.scores import confusion_counts
from benchmark.store.results import COLUMNS, Results

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
GOLDEN = Path(__file__).resolve().parents[1] / "golden"

PAPER_ROWS = {"stl": "STL", "mtl": "MTL", "mal": "MAL"}
SKILLS = {"stl": 0.70, "mtl": 0.72, "mal": 0.76}
FRAMES = 40
STEPS = np.arange(20, 2020, 20)


def make_results(
    methods: tuple[str, ...] = ("stl", "mtl", "mal"),
    *,
    seeds: tuple[int, ...] = (0,),
    parts: tuple[str, ...] = tuple(BP4D.parts),
    skills: dict[str, float] | None = None,
    **columns: object,
) -> Results:
    """Trials of each method, part and seed on one set of labels, which no argument changes.

    Args:
        columns: Values of columns of `trials` in place of the usual ones.
    """
    made = [
        _trial(method, part, seed, (skills or SKILLS).get(method, 0.6), columns)
        for method in methods
        for part in parts
        for seed in seeds
    ]
    return Results.concat(made)


def _trial(method: str, part: str, seed: int, skill: float, columns: dict[str, object]) -> Results:
    key = f"{method}-{part}-{seed}-" + "".join(f"{columns[name]}" for name in sorted(columns))
    row = {
        "trial": key,
        "dataset": "bp4d",
        "part": part,
        "method": method,
        "paper_row": PAPER_ROWS.get(method, ""),
        "seed": seed,
        "profile": "standin",
        "shared_overrides": "",
        "variant": "",
        "origin": "stand-in",
        "data_note": "procedural faces, 41 subjects",
        "fingerprint": "0123456789abcdef",
        "backbone": "resnet18",
        "weights": "scratch",
        "method_version": 1,
        "stale": False,
        "steps": 2000,
        "parameters": 11_182_668,
        "time_train_s": 61.5,
        "time_before_s": 12.5,
        "base_memory_mb": 612.4,
        "peak_memory_mb": 812.4,
        "settings": "{}",
        "provenance": json.dumps(
            {
                "device": "Some CPU",
                "packages": {"torch": "2.9.0"},
                "threads": 2,
                # The parts of a seed share a stage.
                "prerequisites": {"source": {"key": f"source of {method} {seed}", "time_train_s": 12.5}},
            }
        ),
        **columns,
    }
    # As the suite does: digests follow the settings, which these names stand for here.
    row.setdefault("shared_digest", f"{row['profile']} {row['shared_overrides']}")
    row.setdefault("own_digest", f"{row['method']} {row['variant']}")
    labels = np.random.default_rng([0, ord(part[-1])])
    rng = np.random.default_rng([seed, ord(part[-1]), *method.encode()])
    counts, scores = [], []
    for j, au in enumerate(BP4D.au_names):
        total = np.zeros(3, dtype=int)
        for subject in BP4D.parts[part]:
            positives = int(labels.binomial(FRAMES, labels.beta(2, 3) * (0.4 + 0.1 * (j % 7))))
            tp = int(rng.binomial(positives, skill))
            fp = int(rng.binomial(FRAMES - positives, 0.9 - skill))
            counts.append((key, subject, au, tp, fp, positives - tp, FRAMES - positives - fp))
            total += (tp, fp, positives - tp)
        scores.append((key, au, 2 * total[0] / (2 * total[0] + total[1] + total[2]), skill + 0.01 * j))
    return Results(
        trials=pd.DataFrame([row]),
        counts=pd.DataFrame(counts, columns=["trial", "subject", "au", "tp", "fp", "fn", "tn"]),
        scores=pd.DataFrame(scores, columns=["trial", "au", "f1", "auc"]),
        curves=_curves(key, method, rng),
        weights=pd.DataFrame(
            [(key, "mean", 0.4), (key, "spearman_consistency", 0.12)] if method == "mal" else [],
            columns=list(COLUMNS["weights"]),
        ),
    )


def _curves(key: str, method: str, rng: np.random.Generator) -> pd.DataFrame:
    if method == "all_positive":  # it learns nothing, so it has no losses
        return pd.DataFrame(columns=list(COLUMNS["curves"]))
    noise = rng.normal(0, 1, (5, len(STEPS)))
    values = {"loss_au": 5 + 3 * np.exp(-STEPS / 500) + 0.2 * noise[0]}
    if method != "stl":
        values["loss_fe"] = (0.3 + 1.6 * np.exp(-STEPS / 300)) * np.exp(0.1 * noise[1])
    if method == "mal":
        values["weight_au"] = 0.5 - 0.10 * STEPS / 2000 + 0.005 * noise[2]
        values["weight_fe"] = 0.5 + 0.12 * STEPS / 2000 + 0.005 * noise[3]
        values["fe_share"] = values["weight_fe"] / (values["weight_fe"] + values["weight_au"])
    frames = [pd.DataFrame({"step": STEPS, "series": name, "value": v}) for name, v in values.items()]
    return pd.concat(frames).assign(trial=key)


def without_labels(results: Results, au: str) -> Results:
    """The results as if no label of `au` were known."""
    counts = results.counts.copy()
    counts.loc[counts["au"] == au, ["tp", "fp", "fn", "tn"]] = 0
    scores = results.scores.copy()
    scores.loc[scores["au"] == au, ["f1", "auc"]] = np.nan
    return replace(results, counts=counts, scores=scores)


@pytest.fixture
def standin() -> Results:
    return make_results()


AUS = list(BP4D.au_names)
PER_SUBJECT = 5


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    rng = np.random.default_rng(0)
    subjects = sorted(s for part in BP4D.parts.values() for s in part)
    table = pd.DataFrame({"subject": np.repeat(subjects, PER_SUBJECT), "sequence": "T1"})
    table["frame"] = np.arange(len(table)) % PER_SUBJECT + 95
    table["path"] = table["subject"] + "/" + table["frame"].astype(str)
    labels = rng.choice([-1, 0, 1], size=(len(table), len(AUS)), p=[0.1, 0.5, 0.4]).astype(np.int8)
    return FaceSet("bp4d", Path(), table, labels, BP4D.au_names, "partial", "")


@pytest.fixture(scope="module")
def predictions(faces: FaceSet) -> pd.DataFrame:
    found = faces.table[["subject", "sequence", "frame"]].copy()
    found[AUS] = np.random.default_rng(1).random((len(found), len(AUS)))
    return found


@pytest.fixture(scope="module")
def beside(faces: FaceSet) -> Results:
    """Trials of a method on these frames."""
    made = make_results(("mal",), fingerprint="ours", origin="partial")
    tables = []
    for trial in made.trials.itertuples():
        rows = faces.table["subject"].isin(BP4D.parts[trial.part]).to_numpy()
        subjects = faces.table["subject"].to_numpy()[rows]
        logits = np.zeros((rows.sum(), len(AUS)), np.float32)
        counts = confusion_counts(logits, faces.labels[rows], subjects, BP4D.au_names)
        tables.append(counts.assign(trial=trial.trial))
    return Results(made.trials, pd.concat(tables), made.scores, made.curves, made.weights)


def written(table: pd.DataFrame, file: Path) -> Path:
    table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return file
