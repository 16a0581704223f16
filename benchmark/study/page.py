"""The page of a study: the trials of its questions, and their results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.report.figures import write_figure
from benchmark.report.templating import markdown_template
from benchmark.store.results import Results
from benchmark.study.plan import Plan, plan_file
from benchmark.study.registration import registration_sentence
from benchmark.study.rows import Digests
from benchmark.study.sections import Answered

TEMPLATE = "study.md.j2"
FIGURES = "figures"


def write_study(
    plan: Plan,
    results: Results,
    out: Path,
    *,
    digests: Mapping[str, Mapping[str, Digests]],
    templates: Path | None = None,
    name: str,
) -> list[Path]:
    """Write the page `STEM.md`, its figures and its trials `STEM.parquet` below `out`; STEM is the plan's name.

    Args:
        plan: The plan.
        digests: Result of `digests_of`.
        results: Results of the finished trials.
        out: Folder, made if missing.
        templates: Folder with the page's template.
        name: Name or file of the plan, as for `load_plan`.

    Returns:
        The files written.

    Raises:
        UserError: No trial is done, trials on several versions of the data answer one question, or the template is
            missing.
    """
    answered = Answered(plan, results, digests)
    sections = answered.sections()
    selected = results.select(dict.fromkeys(key for section in sections for key in section.trials))
    if selected.trials.empty:
        raise UserError(
            "no trial of the study is done",
            where=name,
            remedy="run `malbench study`, or name results with --with, such as reports/study/tuning.parquet",
        )
    stem = Path(name).stem
    drawn = {
        section.name: write_figure(section.figure, out / FIGURES / f"{stem}-{section.name}", kinds=("png",), dpi=150)
        for section in sections
        if section.figure is not None
    }
    of_question: dict[str, str] = {}  # a trial of several questions counts for the first
    for section in sections:
        if section.word != "Choice":
            of_question = dict.fromkeys(section.trials, section.name) | of_question
    testing = selected.trials[selected.trials["trial"].isin(of_question)]
    made = {name: list(rows["provenance"]) for name, rows in testing.groupby(testing["trial"].map(of_question))}
    context = {
        "plan": name,
        "title": plan.title,
        "about": plan.about,
        "profile": plan.profile,
        "alpha": f"{100 * plan.alpha:g}",
        "margin": f"{plan.margin:g}",
        "registration": registration_sentence(plan_file(name), made),
        "overall": answered.overall(sections),
        "sections": sections,
        "figures": {key: files[0].relative_to(out).as_posix() for key, files in drawn.items()},
        "trials": len(selected.trials),
        "hours": float(selected.trials["time_train_s"].sum()) / 3600,
        "stale": int(selected.trials["stale"].sum()),
    }
    out.mkdir(parents=True, exist_ok=True)
    page, kept = (out / f"{stem}{suffix}" for suffix in (".md", ".parquet"))
    write_atomically(page, markdown_template(TEMPLATE, templates).render(**context).encode())
    selected.write(kept)
    return [page, kept, *(file for files in drawn.values() for file in files)]
