"""`malbench metrics`: finished trials under every metric."""

from __future__ import annotations

from benchmark.cli.options import NamedRuns, Out, Publish, ResultsFile


def metrics(
    runs: NamedRuns = None,
    out: Out = None,
    publish: Publish = False,
    results: ResultsFile = None,
) -> None:
    """Write metrics.md: F1, AUC, average precision, MCC and others, the order of methods, people and groups."""
    from rich.console import Console

    from benchmark.api.metrics import write_metrics_page
    from benchmark.cli.console import listening

    console = Console()
    with listening(console) as listener:
        page = write_metrics_page(runs, out, results=results, publish=publish, listener=listener)
    console.print(f"wrote {page}", soft_wrap=True, markup=False)
