"""Results of a store as pandas tables, and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import Timeout

from benchmark.api.listener import SILENT, Listener
from benchmark.api.pages import page_folder
from benchmark.api.publish import check_publishable
from benchmark.api.weighed import faces_of_file, faces_of_store
from benchmark.core.errors import UserError, near_keys, wrong_path
from benchmark.core.places import default_cache, default_reports, default_runs, no_store, report_of
from benchmark.report.calibration import calibration_table
from benchmark.report.cells import Table
from benchmark.report.claims import JudgedClaim, judge_claims
from benchmark.report.compare import write_comparison
from benchmark.report.groups import group_results
from benchmark.report.readable import readable_results
from benchmark.report.render import build_report
from benchmark.report.weighed import WEIGHTS
from benchmark.store.folder import trial_folders
from benchmark.store.results import Results
from benchmark.trials.collect import read_store
from benchmark.trials.states import source_hashes


def read_results(source: Path | str | None = None) -> Results:
    """Finished trials as pandas tables: `trials`, `counts`, `scores`, `curves`, `weights`.

    Args:
        source: A store (a folder), or a results file; None for the default store.

    Raises:
        UserError: A finished trial is damaged, or the file is no results file.

    Example:
        >>> from benchmark import api
        >>> api.read_results("reports/results.parquet").scores.columns.tolist()
        ['trial', 'au', 'f1', 'auc', 'ap']
    """
    path = default_runs() if source is None else Path(source)
    sources = source_hashes()
    return Results.read(path).mark_stale(sources) if path.is_file() else read_store(path, sources)


@dataclass(frozen=True)
class Found:
    """Results, and where they were.

    Attributes:
        source: The store or the file.
        results: The results.
        notice: Sentences for the reader if they are not those of the user's own store; "" if they are, or were named.
    """

    source: Path
    results: Results
    notice: str = ""


def find_results(runs: Path | None, out: Path, results: Path | None) -> Found:
    """Read the first results among a named file, the store, and, if no store was named, the last report in `out`.

    Args:
        runs: The store; None for the default store, beside which the last report counts, too.
        out: Folder of the report.
        results: Results file to use instead of both; None for none.

    Raises:
        UserError: No place has a finished trial, or there is no such store.

    Example:
        >>> from pathlib import Path
        >>> find_results(None, Path("reports"), Path("reports/results.parquet")).results.trials.empty
        False
    """
    if results is not None:
        _check_source(results)
    elif runs is not None and not runs.exists():
        raise no_store(runs)
    source = results or runs or default_runs()
    stored = read_results(source)
    kept = out / "results.parquet"
    if stored.trials.empty and runs is None and results is None and kept.is_file():
        return Found(kept, read_results(kept), _notice(out))
    if stored.trials.empty:
        raise UserError(
            "no finished trial",
            where=source,
            expected="a store with finished trials, or a results file",
            remedy=_REMEDY if runs is None or results is not None else f"{_REMEDY}, or another store with --runs",
        )
    return Found(source, stored)


_REMEDY = "run `malbench run bp4d` first, or name a file with --results"


def _notice(out: Path) -> str:
    """Sentences for a reader who asked for the results of a store that holds none."""
    if out.resolve() == default_reports().resolve():
        return "Your store holds no trial. These are the committed results of the repository."
    return f"Your store holds no trial. These are the results of the last report in {out}."


@dataclass(frozen=True)
class OtherResults:
    """Results of other commands that the audit of a report shows, too.

    Attributes:
        splits: Results of `malbench splits`, one for each dataset.
        cross: Results of `malbench cross`; None for none.
    """

    splits: tuple[Results, ...] = ()
    cross: Results | None = None


def find_other_results(source: Path, out: Path) -> OtherResults:
    """Read the results of splits and of other datasets beside a report, else in the default stores of their commands.

    Args:
        source: Where the report's trials are read; in a store, `splits` and `cross` are such stores.
        out: Folder of the report.

    Raises:
        UserError: A file is damaged.
    """
    places = (out, report_of(source / "splits"), report_of(source / "cross"))
    splits = next((files for place in places if (files := sorted(place.glob("splits-*.parquet")))), [])
    cross = next((file for place in places if (file := place / "cross.parquet").is_file()), None)
    return OtherResults(tuple(map(read_results, splits)), None if cross is None else read_results(cross))


def write_report(
    runs: Path | str | None = None,
    out: Path | str | None = None,
    *,
    results: Path | None = None,
    beside: Sequence[Path] = (),
    faces: Path | None = None,
    trial: str = "",
    cache: Path | None = None,
    publish: bool = False,
    notice: str = "",
    listener: Listener = SILENT,
) -> list[Path]:
    """Build tables, page and figures from finished trials.

    Args:
        runs: The store. None for the default one: if it has no finished trial, the results in `out` are read, or, for
            None, the committed ones, and the pages say so.
        out: Folder of the report; None for `report` in the store.
        results: Results file to use instead of the store.
        beside: Further results files, for example of scored predictions.
        faces: Data root of the images of Figures 5 and 6; not needed for the stand-in.
        trial: Key of the trial of Figures 5 and 6, whose folder is in the store; "" for the first of MAL there.
        cache: Folder of packed frames and stand-ins.
        publish: Write into the committed `reports/`, which needs clean and complete results.
        notice: Sentences about all results, at the top of the pages; "" for none.
        listener: Receives progress.

    Returns:
        The files written.

    Raises:
        UserError: There is no finished trial, a file is damaged, or the requested images are missing; the folder is
            `reports/` without `publish`, or the results may not be published.

    Example:
        >>> from benchmark import api
        >>> files = api.write_report("runs")  # doctest: +SKIP
    """
    asked = None if runs is None else Path(runs)
    runs = asked or default_runs()
    folder = page_folder(None if out is None else Path(out), runs, publish=publish)
    if faces is not None and not faces.is_dir():
        remedy = "correct --faces; Figures 5 and 6 of a stand-in need no --faces"
        raise wrong_path(faces, "folder", expected="the data root of the trials", remedy=remedy)
    found = find_results(asked, default_reports() if out is None else folder, results)
    source, stored = found.source, found.results
    if found.notice:
        listener.note(found.notice)
    if source != runs and faces is not None and not trial:
        raise UserError(
            "a results file holds no images for Figures 5 and 6",
            where=source,
            remedy="name a trial of the store with --trial KEY and --runs, or leave --faces out",
        )
    if trial and trial not in set(stored.trials["trial"]):
        raise UserError(
            f"no finished trial '{trial}' in the results",
            where=source,
            found=near_keys(trial, _labels(stored)),
            remedy="name one of these with --trial; `malbench status --all` lists every trial of a store",
        )
    if beside:
        stored = Results.merge({str(source): stored, **{str(file): _some_results(file) for file in beside}})
    if publish:
        check_publishable(stored, source, beside)
    listener.note(f"from {source}")
    unfinished = [folder for folder in trial_folders(runs) if not folder.is_done] if source == runs else []
    if unfinished:
        number = f"{len(unfinished)} trial{'' if len(unfinished) == 1 else 's'}"
        listener.note(f"left out, because not done: {number} of the store; `malbench status` lists them")
    weighed = None
    try:
        if source == runs or trial:
            weighed = faces_of_store(runs, trial, faces, cache or default_cache(), listener.progress)
        else:
            weighed = faces_of_file(stored, source.parent / WEIGHTS, cache or default_cache(), listener.progress)
    except (UserError, OSError, Timeout) as error:
        if trial or faces is not None:
            raise
        # The images were not requested, and the rest of the report does not depend on them.
        reason = error.what if isinstance(error, UserError) else str(error)
        listener.note(f"Figures 5 and 6 are left out: {reason}")
    others = find_other_results(source, folder)
    notice = " ".join(filter(None, (notice, "" if publish else found.notice)))
    return build_report(stored, folder, faces=weighed, splits=others.splits, cross=others.cross, notice=notice)


def _check_source(source: Path) -> None:
    """Refuse a source of results that is not there.

    Raises:
        UserError: There is nothing at this path.
    """
    if not source.exists():
        raise wrong_path(
            source,
            "file",
            expected="a results file, or a store",
            remedy="name one that exists, or leave the option out",
        )


def _labels(results: Results) -> dict[str, str]:
    """Short names of trials by key."""
    columns = [results.trials[name] for name in ("trial", "dataset", "method", "part", "seed")]
    return {
        str(key): f"{dataset} {method} {part} seed {seed}"
        for key, dataset, method, part, seed in zip(*columns, strict=True)
    }


def _some_results(source: Path) -> Results:
    """Results of a file or a store.

    Raises:
        UserError: There is none, or it holds no finished trial.
    """
    _check_source(source)
    results = read_results(source)
    if results.trials.empty:
        raise UserError(
            "no finished trial",
            where=source,
            expected="a results file, or a store with finished trials",
            found="no trial",
            remedy="name a file that `malbench report` or `malbench score` wrote",
        )
    return results


def compare_results(a: Path, b: Path, out: Path) -> Path:
    """Write `compare.md` below `out`: the differences of two results files.

    Args:
        a: Results file.
        b: Results file.
        out: Folder of the page, made if missing.

    Returns:
        The page.

    Raises:
        UserError: A file is no results file, or they have no row in common.

    Example:
        >>> from pathlib import Path
        >>> compare_results(Path("a.parquet"), Path("b.parquet"), Path("runs/report"))  # doctest: +SKIP
        PosixPath('runs/report/compare.md')
    """
    sides = [_some_results(file) for file in (a, b)]
    return write_comparison(sides[0], sides[1], out, names=(str(a), str(b)))


def calibrate_results(files: Sequence[Path]) -> Table:
    """Count the false alarms of the suite's tests on trainings of the same methods.

    Args:
        files: Results files; a trial that stands in several counts once.

    Returns:
        A table with one row for each set of trials, and one for all.

    Raises:
        UserError: A file is no results file, or holds no trial.

    Example:
        >>> from pathlib import Path
        >>> calibrate_results([Path("reports/results.parquet")]).header[0]  # doctest: +SKIP
        'trials'
    """
    together = Results.empty()
    for file in files:
        together = together.beside(_some_results(file))
    return calibration_table(group_results(readable_results(together)))


def judge_paper_claims(found: Results | None) -> tuple[JudgedClaim, ...]:
    """Judge the paper's claims on its printed tables, and on our runs.

    Args:
        found: Results of our runs; None for the printed tables only.

    Returns:
        One judged claim per claim of the paper.

    Example:
        >>> judge_paper_claims(None)[0].claim.id
        'C01'
    """
    return judge_claims(() if found is None else group_results(readable_results(found)))
