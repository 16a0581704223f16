"""Groups of trials that may be compared, and their rows.

A group shares dataset, data, profile and the settings of all methods; a row is a method with
one value of its specific settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from benchmark import datasets
from benchmark.config.settings import DEFAULT_RENDERER
from benchmark.core.errors import UserError
from benchmark.core.f1 import FloatArray
from benchmark.core.origin import Origin
from benchmark.data.faces import noted_renderer
from benchmark.paper.tables import PaperTable, paper_table
from benchmark.report.by_trial import CountsByTrial, ScoresByTrial
from benchmark.report.provenance import machine_of, read_provenance
from benchmark.stats.counts import MethodCounts, PartCounts
from benchmark.store.results import LACKING, SUBMITTED, Results

ORIGINS: dict[Origin, str] = {"complete": "complete data", "partial": "partial data", "stand-in": "stand-in"}
"""Names of the origins of data in reports, in the order of the report."""

# Digests of the settings decide: one name of a profile may stand for two settings, or two names for one.
GROUP_FIELDS = ["origin", "dataset", "fingerprint", "shared_digest"]
ROW_FIELDS = ["method", "paper_row", "own_digest"]
PAPER_PROFILE = "paper"


@dataclass(frozen=True)
class Row:
    """One method with one value of its settings: the trials behind the numbers of a row.

    Every seed has every part. A seed with fewer parts is left out, since its F1 covers another test set.
    """

    method: str
    paper_row: str
    variant: str
    trials: pd.DataFrame
    """One trial per part and seed."""
    counts: MethodCounts
    auc: FloatArray
    """AUC (R, P, J) for R seeds, P parts and J AUs, in the order of `counts`."""
    left_out: int
    """Number of trials of seeds with fewer parts."""
    superseded: int
    """Number of trials that a newer one of the same part and seed replaces."""
    recorded: bool
    """Whether a training recorded a loss. A control that learns nothing has a network, and records none."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Test parts that were run."""
        return self.counts.part_names

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds that were run."""
        return self.counts.seeds

    @property
    def reading(self) -> str:
        """Reading of the paper whose settings these are; "" if no reading has them."""
        # Trials of before readings had names have none, and the same settings.
        return next((str(name) for name in self.trials["reading"] if name), "")

    @property
    def is_trained(self) -> bool:
        """Whether the method learns: only then do its scores have noise of training, which rows of a table share."""
        return self.is_submitted or self.recorded

    @cached_property
    def is_submitted(self) -> bool:
        """Whether somebody else made the predictions; nothing is known of their training."""
        return any(SUBMITTED in read_provenance(text) for text in self.trials["provenance"])

    @cached_property
    def lacking(self) -> frozenset[str]:
        """AUs of the dataset that submitted predictions do not give."""
        return frozenset(str(au) for text in self.trials["provenance"] for au in read_provenance(text).get(LACKING, ()))

    @property
    def is_protocol(self) -> bool:
        """Whether the method's settings are the profile's own, or those of a reading that the profile names."""
        return not self.variant or bool(self.reading and self.variant == f"reading {self.reading}")

    @cached_property
    def machines(self) -> dict[int, str]:
        """Devices and versions of torch by seed, in words."""
        made = zip(self.trials["seed"], self.trials["provenance"], strict=True)
        by_seed: dict[int, set[str]] = {}
        for seed, provenance in made:
            by_seed.setdefault(int(seed), set()).add(machine_of(provenance))
        return {seed: " and ".join(sorted(names)) for seed, names in sorted(by_seed.items())}


@dataclass(frozen=True)
class Group:
    """Rows that may be compared with one another."""

    dataset: str
    origin: Origin
    fingerprint: str
    profile: str
    shared_overrides: str
    results: Results
    """Results of this group alone."""
    rows: tuple[Row, ...]
    paper: PaperTable
    """The paper's table on this dataset; without rows if the paper has none."""
    expected_parts: tuple[str, ...]
    """Test parts of the dataset."""

    @property
    def curves_name(self) -> str:
        """The paper's figure of training curves on this dataset, or `Curves` with the title of the dataset."""
        cls = datasets.au_classes().get(self.dataset)  # None for a dataset that a profile declares
        return (cls.curves if cls is not None else "") or f"Curves {self.paper.title}"

    @property
    def origin_label(self) -> str:
        """Where the data come from, in the words of the report."""
        renderer = noted_renderer(str(self.results.trials["data_note"].iloc[0]))
        other = self.origin == "stand-in" and renderer != DEFAULT_RENDERER
        return ORIGINS[self.origin] + (f", renderer {renderer}" if other else "")

    @property
    def title(self) -> str:
        """Name of the group, with the settings that are not the profile's."""
        overrides = f", with {self.shared_overrides}" if self.shared_overrides else ""
        return f"{self.short_title}{overrides}"

    @property
    def short_title(self) -> str:
        """Name of the group, whatever its settings are."""
        return f"{self.paper.title}, {self.origin_label}, profile {self.profile}"

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts that at least one row tested."""
        return tuple(sorted({part for row in self.rows for part in row.parts}))

    @property
    def is_protocol(self) -> bool:
        """Whether budget and shared settings are those of the unchanged profile `paper`."""
        return self.profile == PAPER_PROFILE and not self.shared_overrides

    @property
    def is_judged(self) -> bool:
        """Whether our numbers can be held against the paper's: the data are a complete copy of the real ones."""
        return self.origin == "complete"

    def is_complete(self, row: Row) -> bool:
        """Whether a row has all test parts."""
        return len(row.parts) >= self.paper.folds

    @cached_property
    def reference(self) -> MethodCounts:
        """Counts with the labels of every part, each from the first row that tested it, so predictions are mixed.

        A row that lacks AUs has no counts of their labels.
        """
        sources: dict[str, PartCounts] = {}
        for row in sorted(self.rows, key=lambda row: bool(row.lacking)):
            for part in row.counts.parts:
                sources.setdefault(part.part, PartCounts(part.part, part.subjects, part.counts[:1]))
        return MethodCounts(self.paper.aus, (0,), tuple(sources[name] for name in sorted(sources)))

    @property
    def frames(self) -> int:
        """Number of test frames of all parts with a known label, by the AU that has most.

        Counts do not tell how the labels of several AUs overlap, so this is a lower bound.
        """
        return sum(int(part.counts[0].sum(axis=(0, 2)).max()) for part in self.reference.parts)


def group_results(results: Results, faults: list[UserError] | None = None) -> tuple[Group, ...]:
    """Group results, in the order of the report: complete data first, then by profile and dataset.

    Args:
        results: Finished trials.
        faults: Collects the faults of groups that cannot be built, if others can. None: the first fault is raised.

    Raises:
        UserError: No trial; or an unknown AU, or trials of one part that tested different subjects, in a group while
            `faults` is None, or in every group.
    """
    if (results.trials["tested"] != "").all():
        raise UserError("the results hold no trial", remedy="run `malbench run` first, then `malbench report`")
    # What a network gets on the people of another dataset stands beside no trial on its own.
    own = results.trials[results.trials["tested"] == ""]
    trials = [table["trial"] for _, table in own.groupby(GROUP_FIELDS, sort=True)]
    groups: list[Group] = []
    wrong: list[UserError] = []
    for group_of_results in results.split(trials):
        try:
            groups.append(_group(group_of_results))
        except UserError as error:
            if faults is None:
                raise
            wrong.append(error)
    if not groups:
        raise wrong[0]
    if faults is not None:
        faults += wrong
    order = list(ORIGINS)
    return tuple(
        sorted(
            groups,
            key=lambda g: (
                order.index(g.origin),
                g.profile,
                g.paper.number or math.inf,
                g.dataset if not g.paper.is_printed else "",
                g.fingerprint,
                g.shared_overrides,
            ),
        )
    )


def titles_of(groups: Sequence[Group]) -> list[str]:
    """Titles of the sections of groups. Changed settings are named only where they tell two groups apart."""
    short = [f"{g.short_title}{', changed settings' if g.shared_overrides else ''}" for g in groups]
    return [title if short.count(title) == 1 else group.title for title, group in zip(short, groups, strict=True)]


def _described(results: Results) -> tuple[PaperTable, tuple[str, ...]]:
    """Table and test parts of a group's dataset, from the paper or from the trials."""
    trials = results.trials
    dataset = str(trials["dataset"].iloc[0])
    cls = datasets.au_classes().get(dataset)
    made = read_provenance(trials["provenance"].iloc[0])
    parts = tuple(str(part) for part in made.get("parts") or ())
    if cls is not None and cls.printed is not None:
        return paper_table(dataset), parts or tuple(cls.protocol.parts)
    aus = tuple(str(au) for au in made.get("aus") or results.counts["au"].unique())
    parts = parts or tuple(sorted(trials["part"].unique()))
    return PaperTable.unprinted(dataset, str(made.get("title") or dataset), len(parts), aus), parts


def _group(results: Results) -> Group:
    first = results.trials.iloc[0]
    table, parts = _described(results)
    if first["origin"] not in ORIGINS:
        raise UserError(
            "a trial says of its data what no report knows",
            where=f"trial {first['trial']}, column origin",
            expected=", ".join(ORIGINS),
            found=str(first["origin"]),
            remedy="read the results with the version of the suite that wrote them",
        )
    unknown = sorted(set(results.counts["au"].unique()) - set(table.aus))
    if unknown:
        scorer = "the paper" if table.is_printed else "the dataset"
        raise UserError(
            f"results of {table.title} count an AU that {scorer} does not score",
            where=f"trial {results.counts.loc[results.counts['au'] == unknown[0], 'trial'].iloc[0]}",
            expected=", ".join(table.aus),
            found=", ".join(unknown),
            remedy="run the trials of this dataset again",
        )
    counts, scores = CountsByTrial(results.counts, table.aus), ScoresByTrial(results.scores, table.aus)
    counts.check_same_subjects(results.trials)
    recorded = set(results.curves["trial"])
    rows = [_row(rows, counts, scores, recorded) for _, rows in results.trials.groupby(ROW_FIELDS, sort=True)]
    in_print = {row.method: i for i, row in enumerate(table.rows)}
    rows.sort(key=lambda row: (in_print.get(row.paper_row, len(in_print)), row.method, row.variant))
    return Group(
        dataset=table.dataset,
        origin=first["origin"],
        fingerprint=str(first["fingerprint"]),
        profile=str(first["profile"]),
        shared_overrides=str(first["shared_overrides"]),
        results=results,
        rows=tuple(rows),
        paper=table,
        expected_parts=parts,
    )


def _row(trials: pd.DataFrame, counts: CountsByTrial, scores: ScoresByTrial, recorded: Set[str]) -> Row:
    chosen = _newest(trials)
    full, left_out = _full_seeds(chosen)
    parts, seeds = sorted(set(full["part"])), sorted({int(seed) for seed in full["seed"]})
    keys = {(str(p), int(s)): str(t) for p, s, t in zip(full["part"], full["seed"], full["trial"], strict=True)}
    of_parts = tuple(counts.of_part(part, [keys[part, seed] for seed in seeds]) for part in parts)
    auc = scores.of_trials([keys[part, seed] for seed in seeds for part in parts], "auc")
    first = trials.iloc[0]
    return Row(
        method=str(first["method"]),
        paper_row=str(first["paper_row"]),
        variant=str(first["variant"]),
        trials=full,
        counts=MethodCounts(counts.aus, tuple(seeds), of_parts),
        auc=auc.reshape(len(seeds), len(parts), -1),
        left_out=left_out,
        superseded=len(trials) - len(chosen),
        recorded=not recorded.isdisjoint(full["trial"]),
    )


def _newest(trials: pd.DataFrame) -> pd.DataFrame:
    """One trial per part and seed: fresh before stale, then the highest version of the method."""
    ordered = trials.sort_values(["stale", "method_version", "trial"], ascending=[True, False, False])
    return ordered.drop_duplicates(["part", "seed"]).sort_values(["seed", "part"])


def _full_seeds(trials: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Trials of the seeds that have all parts, and the number of other trials.

    All parts are those of the first seed with most parts.
    """
    parts: dict[int, set[str]] = {}
    for seed, part in zip(trials["seed"], trials["part"], strict=True):
        parts.setdefault(seed, set()).add(part)
    fullest = max(parts.values(), key=len)
    seeds = [seed for seed, names in parts.items() if names >= fullest]
    keep = trials["seed"].isin(seeds) & trials["part"].isin(fullest)
    return trials[keep], int((~keep).sum())
