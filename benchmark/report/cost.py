"""Cost of a step of MAL in each of its forms, from the measurements of `nox -s bench`: a table and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.core.atomic import write_atomically
from benchmark.core.errors import UserError
from benchmark.core.files import json_object, read_bytes
from benchmark.report.cells import UNRUN, Cell, Table, cells, number, table
from benchmark.report.figures import BLUE, GREY, LABEL, LONGEST_LINE, TITLE, VERMILLION, own_style, write_figure
from benchmark.report.readable import readable
from benchmark.report.templating import markdown_template

MTL, MAL, KEPT, SLOW = "MTL", "MAL", "MAL, graph kept", "MAL by double backward"
HIGHER, TORCHOPT = "MAL by higher", "MAL by TorchOpt"
FORMS = (MTL, MAL, KEPT, SLOW, HIGHER, TORCHOPT)
LIBRARIES = (HIGHER, TORCHOPT)
GRAPH_KEPT = "graph kept until base-learning"
"""Name of an undocumented option of the libraries, which corresponds to `keep_graph` of MAL."""
STEPS_OF_A_FOLD = 30 * round(142_000 * 2 / 3 * 0.98 / 64)
"""30 epochs (§4.1.2) of two of three parts of BP4D's 142,000 frames (§4.1) without 2 % for validation, 64 per step."""
FORWARD_MODE = 1.97
"""Cost of a forward-mode pass on ResNet-34 in forward passes, by the FLOP counter: 2, less in the first layer."""
TITAN_X_GB, PAPER_HOURS = 12, 54
"""Memory of the paper's GPU in GB, and training time in hours (§4.1.2)."""
BESIDE_MB = 81 + 220 + 500
"""Memory in MiB beside the activations: ResNet-34's parameters, 384 images of 224 px, a GPU context (about 500)."""
_STYLES = {MTL: (GREY, "o"), MAL: (BLUE, "o"), SLOW: (VERMILLION, "s"), TORCHOPT: ("#009E73", "^")}


class Measured(BaseModel):
    """Measurements of one row of `tests/benchmarks/plan.py`.

    Attributes:
        fastest_s: Time of the fastest round in seconds; 0 for a row that measures only memory.
        median_s: Median time of a round in seconds; 0 for a row that measures only memory.
        rounds: Number of rounds.
        peak_mb: Peak memory above that before the first step, in MiB.
        forward_passes: Counted operations of a step, in forward passes over its AU and FE images.
        gradient_error: Relative distance of the meta-gradient from that in single precision, in the table of families
            from its own in double precision; None if not measured.
        backbone: Name of the model.
        machine: Processor or GPU, system, Python.
        versions: Versions of the libraries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: Literal["step", "options", "curves", "memory", "gpu", "families", "virtual_step"]
    form: str = ""
    px: int = 0
    au: int = 0
    fe: int = 0
    val: int = 0
    amp: bool = False
    option: str = ""
    device: str = "cpu"
    backbone: str = "resnet34"
    threads: int = 0
    fastest_s: float
    median_s: float
    rounds: int
    peak_mb: float = 0.0
    forward_passes: float = 0.0
    gradient_error: float | None = None
    machine: str
    versions: str

    @property
    def batch(self) -> str:
        """Numbers of AU, FE and validation images, such as `64 + 64 + 64`."""
        return f"{self.au} + {self.fe} + {self.val}"


class Costs(BaseModel):
    """All rows; those of one kind of device come from one machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[Measured, ...]

    def rows_of(self, name: str) -> list[Measured]:
        """The rows of one table."""
        return [row for row in self.rows if row.table == name]

    def made_on(self, device: str) -> str:
        """Machine and versions of the rows of a device; "" if there are none."""
        machines = {f"{row.machine}; {row.versions}" for row in self.rows if row.device == device}
        return machines.pop() if machines else ""

    def beside(self, other: Costs) -> Costs:
        """These rows, and those of `other` on devices that these rows lack."""
        measured = {row.device for row in self.rows}
        return Costs(rows=(*self.rows, *(row for row in other.rows if row.device not in measured)))


def read_benchmarks(files: Sequence[Path]) -> Costs:
    """Read files of pytest-benchmark.

    Raises:
        UserError: A file cannot be read, has another format, or has rows of a device from another machine.
    """
    rows = []
    for file in files:
        try:
            benchmarks = json_object(read_bytes(file))["benchmarks"]
            if not benchmarks:
                raise ValueError("no measurement")
            for benchmark in benchmarks:
                stats = benchmark["stats"]
                timing = {"fastest_s": stats["min"], "median_s": stats["median"], "rounds": stats["rounds"]}
                rows.append(Measured.model_validate({**benchmark["extra_info"], **timing}))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _not_costs(file, error) from error
    for device in {row.device for row in rows}:
        machines = sorted({f"{row.machine}; {row.versions}" for row in rows if row.device == device})
        if len(machines) > 1:
            raise UserError(
                "measurements of several machines",
                where=", ".join(map(str, files)),
                expected="one machine and one set of versions, or no ratio means anything",
                found=" / ".join(machines),
                remedy="give the files of one machine",
            )
    return Costs(rows=tuple(rows))


def read_costs(file: Path) -> Costs:
    """Read `cost.json`, which `write_costs` wrote.

    Raises:
        UserError: There is no such file, or it has another format.
    """
    try:
        return Costs.model_validate_json(read_bytes(file))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise _not_costs(file, error) from error


def write_costs(costs: Costs, out: Path, *, templates: Path | None = None) -> list[Path]:
    """Write `cost.md`, `cost.json` and `figures/cost.*` below `out`.

    Raises:
        UserError: A row of the main table was not measured.
    """
    figure = cost_figure(costs.rows_of("curves"))
    context = {
        "costs": costs,
        "has_figure": figure is not None,
        "steps": _step_tables(costs),
        "options": _options(costs),
        "memory": _memory(costs),
        "families": families_table(rows) if (rows := costs.rows_of("families")) else None,
        "gpu": _gpu(costs),
        "gpu_words": _gpu_words(costs),
        "virtual": {row.option: 1e3 * row.fastest_s for row in costs.rows_of("virtual_step")},
        "fold_steps": STEPS_OF_A_FOLD,
        "paper_hours": PAPER_HOURS,
        "card": TITAN_X_GB,
    }
    text = markdown_template("cost.md.j2", templates).render(context)
    out.mkdir(parents=True, exist_ok=True)
    page, kept = out / "cost.md", out / "cost.json"
    figures = [] if figure is None else write_figure(figure, out / "figures" / "cost")
    write_atomically(page, text.encode())
    write_atomically(kept, (costs.model_dump_json(indent=1) + "\n").encode())
    return [page, kept, *figures]


def _not_costs(file: Path, error: Exception) -> UserError:
    return UserError(
        "a file of measurements cannot be read",
        where=file,
        expected="what `pytest tests/benchmarks/test_cost.py --benchmark-only --benchmark-json=FILE` writes",
        found=f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}",
        remedy="run `nox -s bench`",
    )


def _step_tables(costs: Costs) -> list[tuple[str, Table, str]]:
    """Heading, table and ratios in words for each size."""
    tables = []
    for px in sorted({row.px for row in costs.rows_of("step")}):
        rows = {row.form: row for row in costs.rows_of("step") if row.px == px}
        missing = [form for form in FORMS if form not in rows]
        if missing:
            raise UserError(
                "a row of the main table was not measured",
                where=f"{px} px",
                expected=", ".join(FORMS),
                found=f"nothing for {', '.join(missing)}",
                remedy="run `nox -s bench`",
            )
        lines = [_step_line(rows[form], rows) for form in FORMS]
        header = ["form", "time per step (s)", "median (s)", "x MTL", "counted x MTL", "forward passes"]
        header += ["peak memory above the start (MiB)", "x double backward"]
        best = min((rows[form] for form in LIBRARIES), key=lambda row: row.fastest_s)
        ours, floor = rows[MAL], rows[MAL].forward_passes / rows[MTL].forward_passes
        needed = rows[KEPT].forward_passes - FORWARD_MODE
        least = min((rows[form] for form in LIBRARIES), key=lambda row: row.peak_mb)
        words = (
            f"MAL / fastest library ({best.form.removeprefix('MAL by ')}): {ours.fastest_s / best.fastest_s:.2f} of "
            f"the time (counted operations: {ours.forward_passes / best.forward_passes:.2f}). MAL / library with least "
            f"memory ({least.form.removeprefix('MAL by ')}): {ours.peak_mb / least.peak_mb:.2f} of it. "
            f"MAL / MTL: {ours.fastest_s / rows[MTL].fastest_s:.2f}, counted {floor:.2f}. MAL / double backward: "
            f"{ours.fastest_s / rows[SLOW].fastest_s:.2f} of the time, {ours.peak_mb / rows[SLOW].peak_mb:.2f} of the "
            f"memory. Without its forward-mode pass and the second forward pass MAL would count {needed:.1f}, "
            f"{needed / best.forward_passes:.2f} of the library's."
        )
        tables.append((f"{px} px, {ours.batch} images, {ours.threads} threads", table(header, lines), words))
    return tables


def _step_line(row: Measured, rows: dict[str, Measured]) -> list[Cell]:
    mtl, slow = rows[MTL], rows[SLOW]
    return cells(
        row.form,
        number(row.fastest_s, digits=2),
        number(row.median_s, digits=2),
        number(row.fastest_s / mtl.fastest_s, digits=2),
        number(row.forward_passes / mtl.forward_passes, digits=2),
        number(row.forward_passes, digits=2),
        number(row.peak_mb, digits=0),
        number(row.peak_mb / slow.peak_mb, digits=2),
    )


def _options(costs: Costs) -> Table:
    plain = {row.form: row for row in costs.rows_of("step") if row.px == 64}
    header = ["option", "form", "time per step (s)", "x without", "peak memory (MiB)", "x memory without"]
    lines = []
    for row in costs.rows_of("options"):
        base = plain[row.form]
        error = "" if row.gradient_error is None else f" (meta-gradient off by {100 * row.gradient_error:.1f} %)"
        lines.append(
            cells(
                row.option + error,
                row.form,
                number(row.fastest_s, digits=2),
                number(row.fastest_s / base.fastest_s, digits=2),
                number(row.peak_mb, digits=0),
                number(row.peak_mb / base.peak_mb, digits=2),
            )
        )
    return table(header, lines)


def families_table(rows: Sequence[Measured]) -> Table:
    """MAL on each backbone and memory format: in MTL steps, measured and counted, and beside the fastest library."""
    header = ["backbone", "format", "MAL / MTL", "counted", "measured / counted", "fastest library", "MAL / that"]
    header += ["memory (MiB)", "memory / that", "error against float64"]
    lines = []
    for ours in (row for row in rows if row.form == MAL):
        alike = [row for row in rows if row.backbone == ours.backbone]
        mtl = next(row for row in alike if row.form == MTL and row.option == ours.option)
        libraries = [row for row in alike if row.form not in {MTL, MAL} and row.option == ours.option]
        best = min(libraries, key=lambda row: row.fastest_s, default=None)
        ratio, counted = ours.fastest_s / mtl.fastest_s, ours.forward_passes / mtl.forward_passes
        lines.append(
            cells(
                ours.backbone,
                ours.option or "contiguous",
                number(ratio, digits=2),
                number(counted, digits=2),
                number(ratio / counted, digits=2),
                UNRUN if best is None else best.form.removeprefix("MAL by "),
                UNRUN if best is None else number(ours.fastest_s / best.fastest_s, digits=2),
                number(ours.peak_mb, digits=0),
                UNRUN if best is None else number(ours.peak_mb / best.peak_mb, digits=2),
                UNRUN if ours.gradient_error is None else f"{ours.gradient_error:.0e}",
            )
        )
    return table(header, lines)


def _memory(costs: Costs) -> Table:
    lines = [
        cells(
            row.form,
            "bf16" if row.amp else "fp32",
            number(row.peak_mb / 1024, digits=1),
            "yes" if row.peak_mb / 1024 < TITAN_X_GB else "no",
        )
        for row in costs.rows_of("memory")
    ]
    return table(["form", "precision", "peak above the start (GiB)", f"that alone below {TITAN_X_GB} GiB"], lines)


def _gpu(costs: Costs) -> Table:
    """Times at the paper's size, with a mark on rows that were not measured."""
    rows = {(row.form, row.amp, row.option): row for row in costs.rows_of("gpu")}
    usual = [(form, amp, "") for amp, forms in ((False, FORMS), (True, (MTL, MAL, KEPT, SLOW))) for form in forms]
    header = ["form", "precision", "option", "time per step (ms)", "x MTL", "counted x MTL", "images a second"]
    header += ["peak memory above the start (GiB)", f"a step below {TITAN_X_GB} GiB", "one BP4D fold (h)"]
    lines = []
    for key in dict.fromkeys([*usual, *rows]):
        form, amp, option = key
        row, precision = rows.get(key), "bf16" if amp else "fp32"
        if row is None:
            lines.append(cells(form, precision, option, "not measured", *[UNRUN] * 6))
            continue
        seconds, mtl = row.median_s, rows.get((MTL, amp, option)) or rows.get((MTL, amp, ""))
        lines.append(
            cells(
                form,
                precision,
                option,
                number(1e3 * seconds, digits=1),
                UNRUN if mtl is None else number(seconds / mtl.median_s, digits=2),
                UNRUN if mtl is None else number(row.forward_passes / mtl.forward_passes, digits=2),
                number(_images(row) / seconds, digits=0),
                number(row.peak_mb / 1024, digits=1),
                "yes" if (row.peak_mb + BESIDE_MB) / 1024 < TITAN_X_GB else "no",
                number(STEPS_OF_A_FOLD * seconds / 3600, digits=2),
            )
        )
    return table(header, lines)


def _gpu_words(costs: Costs) -> str:
    """Ratios of the GPU's rows in words; "" if there are no such rows."""
    rows = {row.form: row for row in costs.rows_of("gpu") if not row.amp and not row.option}
    if not set(FORMS) <= set(rows):
        return ""
    kept_by_library = next((row for row in costs.rows_of("gpu") if row.option == GRAPH_KEPT), None)
    ours, best = rows[MAL], min((rows[form] for form in LIBRARIES), key=lambda row: row.median_s)
    kept = min(rows[MAL].median_s, rows[KEPT].median_s)
    counted = ours.forward_passes / rows[MTL].forward_passes
    beside = "" if kept_by_library is None else f"{kept / kept_by_library.median_s:.2f} of it with its graph kept; "
    return (
        f"In single precision MAL takes {ours.median_s / best.median_s:.2f} of the time of the fastest library "
        f"({best.form.removeprefix('MAL by ')}), {kept / best.median_s:.2f} in its faster form; {beside}"
        f"{ours.median_s / rows[MTL].median_s:.2f} MTL steps (counted {counted:.2f}); "
        f"{ours.peak_mb / rows[SLOW].peak_mb:.2f} of double backward's memory."
    )


def _images(row: Measured) -> int:
    return row.au + row.fe + (row.val if row.form != MTL else 0)


@own_style()
def cost_figure(rows: list[Measured]) -> Figure | None:
    """Figure of time and peak memory of a step, against the batch size and against the validation batch size.

    None if nothing was measured for it.
    """
    if not rows:
        return None
    figure = Figure(figsize=(8.6, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    sizes = ", ".join(f"{px} px" for px in sorted({row.px for row in rows}))
    figure.suptitle(
        f"One training step of MAL in each form, and of MTL: {sizes}", fontsize=TITLE + 2, x=0.01, ha="left"
    )
    machines = "; ".join(dict.fromkeys(row.machine for row in rows))
    figure.supxlabel(readable(machines, LONGEST_LINE), fontsize=LABEL, x=0.01, ha="left", parse_math=False)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    batch: Callable[[Measured], int] = lambda row: row.au  # noqa: E731
    val: Callable[[Measured], int] = lambda row: row.val  # noqa: E731
    time: Callable[[Measured], float] = lambda row: row.fastest_s  # noqa: E731
    memory: Callable[[Measured], float] = lambda row: row.peak_mb  # noqa: E731
    for column, (x, fixed, at, label) in enumerate(
        ((batch, val, 64, "AU images = FE images, with 64 validation images"), (val, batch, 32, "validation images"))
    ):
        for line, (y, name) in enumerate(((time, "time per step (s)"), (memory, "peak memory (MiB)"))):
            _lines(axes[line, column], [row for row in rows if fixed(row) == at], x, y)
            if column == 0:
                axes[line, column].set_ylabel(name, fontsize=9)
            axes[line, column].set_ylim(0, 1.05 * max(y(row) for row in rows))
        axes[1, column].set_xlabel(label if column == 0 else f"{label}, with 32 AU and 32 FE images", fontsize=9)
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def _lines(axes: Axes, rows: list[Measured], x: Callable[[Measured], int], y: Callable[[Measured], float]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    for form, (color, marker) in _STYLES.items():
        points = sorted((x(row), y(row)) for row in rows if row.form == form)
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), color=color, marker=marker, linewidth=1.6, markersize=4, label=form)
    axes.set_xticks(sorted({x(row) for row in rows}))
