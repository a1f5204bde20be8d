"""Versions, commit and machine, recorded beside every result."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path

import neuroattn

_LIBRARIES = ("torch", "numpy", "scipy", "pandas", "xarray", "zarr", "statsmodels")


@cache
def git_commit() -> str:
    """Return the commit of the source tree, with ``-dirty`` if it was changed; "" outside one."""
    root = Path(neuroattn.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""


@cache
def code_hash(*parts: str) -> str:
    """Return the SHA-256 of the source of some modules (``a/b.py``) and folders of the package."""
    package = Path(neuroattn.__file__).parent
    files = {
        file
        for part in parts
        for file in ([package / part] if part.endswith(".py") else package.glob(f"{part}/**/*.py"))
    }
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.exists()):
        digest.update(f"{file.relative_to(package).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the package, its commit, Python, the platform, and the libraries that make numbers."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {
        "neuroattn": neuroattn.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        **libraries,
    }


@cache
def processor() -> str:
    """Return the processor's name, or the platform's description of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
