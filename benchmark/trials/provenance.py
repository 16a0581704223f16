"""Origin of a result: versions, hardware, commit and peak memory."""

from __future__ import annotations

import contextlib
import platform
import re
import resource
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmark.core.git import ask_git
from benchmark.core.places import PROJECT

PACKAGES = ("torch", "torchvision", "timm", "torchjd", "numpy", "pillow")
"""Packages that can change a result."""
_CODE = ("benchmark", "methods")
"""Folders of the code of a checkout."""


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, hardware and commit of this process.

    Args:
        device: Device of the trial.

    Returns:
        JSON values. `commit` is "unknown" and `dirty` is None where git cannot be asked.
    """
    commit, dirty = checkout()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        # torch.__version__ also names the build (CPU, CUDA version).
        "packages": {name: metadata.version(name) for name in PACKAGES} | {"torch": torch.__version__},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "commit": commit,
        "dirty": dirty,
    }


def checkout() -> tuple[str, bool | None]:
    """Commit of the suite's code, and whether the code differs from it; "unknown" and None where git cannot tell."""
    unknown, git = ("unknown", None), partial(ask_git, PROJECT)
    # A repository around an installed package, or one that a variable names, says nothing about this code.
    if git("ls-files", "--error-unmatch", "--", "benchmark/trials/provenance.py") is None:
        return unknown
    commit, flags = git("rev-parse", "--verify", "HEAD"), git("ls-files", "-v", "--", *_CODE)
    # Edits below the reports do not make a checkout dirty: they change no result. A new file of code does.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!reports")
    new = git("ls-files", "--others", "--exclude-standard", "--", *(f"{folder}/*.py" for folder in _CODE))
    if not commit or changed is None or new is None or flags is None:
        return unknown
    # Small letters and S: git was told not to look at these files.
    hidden = any(line[:1].islower() or line.startswith("S") for line in flags.splitlines())
    return commit, True if changed or new else None if hidden else False


def cpu_name() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def reset_peak_memory(device: torch.device) -> float:
    """Reset the measurement of `peak_memory_mb`, where the system can (Linux; CUDA).

    Returns:
        The peak memory at this point, in MiB.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # 5 resets the peak resident size of the process, see proc_pid_clear_refs(5).
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory_mb(device)


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory in MiB: of the device's allocator on CUDA, else the resident size of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    status = Path("/proc/self/status")
    if status.is_file():
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if peak is not None:
            return int(peak[1]) / 2**10
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum / (2**20 if sys.platform == "darwin" else 2**10)
