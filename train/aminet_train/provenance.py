# SPDX-License-Identifier: Apache-2.0
"""What made a checkpoint or a bundle: versions and the git commit."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

DISTRIBUTIONS = ("aminet", "torch", "timm", "lightning", "numpy", "openvino", "nncf", "onnx")


def tool_versions() -> dict[str, str]:
    """Return the version of each tool that is installed."""
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """Return the commit of the checkout that this package runs from; None if it is installed."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
