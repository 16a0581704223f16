"""What made a result: versions, hardware, commit, and the hash of the sources that can change it."""

from __future__ import annotations

import ast
import contextlib
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "torchvision", "timm", "torchjd", "numpy", "pillow")
"""Those whose version can change a result."""


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, hardware and commit of this process."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        # torch's own string names its build too (CPU, CUDA version)
        "packages": {name: metadata.version(name) for name in PACKAGES} | {"torch": torch.__version__},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        # Reports are made from results and change none.
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")),
    }


def cpu_name() -> str:
    """The processor as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def reset_peak_memory(device: torch.device) -> float:
    """Let `peak_memory_mb` count from here, where the system can (Linux; CUDA); what it says now."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # 5 resets the peak resident size of the process, see proc_pid_clear_refs(5).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory_mb(device)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory: of the device's allocator on CUDA, else the resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if peak is not None:
            return int(peak[1]) / 2**10
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum / (2**20 if sys.platform == "darwin" else 2**10)


def source_hash(method_files: Iterable[Path]) -> str:
    """Hash of the code that can change a method's results.

    What readers and the protocol say is part of a trial's key, and so is the format of packed frames: their code is
    not in it.

    Args:
        method_files: What `methods.source_files` names.
    """
    names = ("data/augment", "data/sampling", "core/f1", "stats/scores", "trials/trainer")
    return hash_sources((*(PROJECT / "benchmark" / f"{name}.py" for name in names), *method_files))


def standin_hash() -> str:
    """Hash of the code that draws the stand-in: faces drawn by other code are never taken for these."""
    return hash_sources(tuple(sorted((PROJECT / "benchmark" / "standin").glob("*.py"))))


@cache
def hash_sources(files: tuple[Path, ...]) -> str:
    """Hash of Python files without their comments, docstrings and layout."""
    digest = blake2b(digest_size=8)
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                # Docstrings, and the strings below a field that document it.
                node.body = [n for n in body if not _is_text(n)] or [ast.Pass()]  # type: ignore[attr-defined]
        digest.update(f"{file.name}\n{_shape(tree)}\n".encode())
    return digest.hexdigest()


def _shape(node: object) -> str:
    """A syntax tree as text, alike under all Python versions; what `ast.dump` and `ast.unparse` write differs."""
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_shape(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_shape(item) for item in node)}]"
    return repr(node)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
