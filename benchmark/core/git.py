"""Questions to git about the repository of a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"})
"""Variables that name another repository than that of a folder."""


def ask_git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command in a folder, without spaces at its end; None if git cannot be asked.

    Args:
        folder: A folder of the repository.
        arguments: Arguments of git.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    command = ["git", "-C", str(folder), *arguments]
    try:
        ran = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10, env=environment
        )
        return ran.stdout.rstrip()
    except (OSError, subprocess.SubprocessError):
        return None
