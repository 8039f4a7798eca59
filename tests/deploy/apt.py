"""Debian packages that tests need, installed where this user may."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock


class NotInstalled(Exception):
    """Why packages cannot be had."""


def install(*packages: str) -> None:
    """Install packages, one process of tests at a time.

    Raises:
        NotInstalled: this is not root, there is no apt, or apt failed.
    """
    if os.geteuid() or not shutil.which("apt-get"):
        raise NotInstalled("only root of a Debian could install it")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with FileLock(Path(tempfile.gettempdir()) / "headscarp_tests_apt.lock"):
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", *command], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise NotInstalled(f"apt-get {' '.join(command)} failed: {done.stderr.strip()[-300:]}")
