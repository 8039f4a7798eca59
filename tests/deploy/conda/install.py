"""Install the stand-in for conda: `python install.py ROOT`, with a Python that has py-rattler and pyyaml.

ROOT/bin/conda, ROOT/bin/activate   what Snakemake calls (put ROOT/bin on the PATH) ROOT/channels/conda-forge
a conda channel of two packages: python, which is the Python of this machine, and its pip
"""

import asyncio
import hashlib
import io
import json
import os
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path

from rattler import Subdir
from rattler.index import index_fs

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
ACTIVATE = """# Snakemake sources this with the prefix of an environment.
# Its packages have no activation scripts of their own.
export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"
"""


def write_package(
    channel: Path,
    name: str,
    version: str,
    depends: list[str],
    files: dict[str, bytes],
    links: dict[str, str] | None = None,
) -> None:
    """Write a conda package (.tar.bz2): contents by path, and symbolic links as target by path."""
    links = links or {}
    platform, architecture = str(Subdir.current()).split("-")
    index = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": depends,
        "subdir": f"{platform}-{architecture}",
    }
    paths = [described(path, "hardlink", content) for path, content in files.items()]
    paths += [described(path, "softlink", b"") for path in links]
    records = {"info/index.json": index, "info/paths.json": {"paths": paths, "paths_version": 1}}
    target = channel / index["subdir"] / f"{name}-{version}-0.tar.bz2"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:bz2", compresslevel=1) as archive:
        for path, content in (
            {path: json.dumps(record).encode() for path, record in records.items()} | files
        ).items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, source in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, source
            archive.addfile(member)


def described(path: str, kind: str, content: bytes) -> dict:
    return {
        "_path": path,
        "path_type": kind,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


def write_python(channel: Path) -> None:
    """The package `python`: links to the interpreter of this machine, and the pyvenv.cfg that keeps its
    site-packages out."""
    interpreter = Path(sys._base_executable).resolve()
    config = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    links = {
        f"bin/python{MINOR}": str(interpreter),
        "bin/python3": f"python{MINOR}",
        "bin/python": f"python{MINOR}",
    }
    version = ".".join(map(str, sys.version_info[:3]))
    write_package(channel, "python", version, [], {"pyvenv.cfg": config.encode()}, links)


def write_pip(channel: Path) -> None:
    """The package `pip`: that of the Python which runs this."""
    pip = distribution("pip")
    sources = [path for path in pip.files if path.parts[0] != ".." and path.suffix != ".pyc"]
    files = {f"lib/python{MINOR}/site-packages/{path}": path.locate().read_bytes() for path in sources}
    write_package(channel, "pip", pip.version, [f"python {MINOR}.*"], files)


def write_commands(folder: Path) -> None:
    folder.mkdir(parents=True)
    stand_in = (Path(__file__).parent / "stand_in.py").read_text()
    # -I: the caller's PYTHONPATH is not for this Python
    (folder / "conda").write_text(f"#!{sys.executable} -I\n{stand_in}")
    (folder / "conda").chmod(0o755)
    (folder / "activate").write_text(ACTIVATE)


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    conda_forge = root / "channels" / "conda-forge"
    (conda_forge / "noarch").mkdir(parents=True)
    write_python(conda_forge)
    write_pip(conda_forge)
    asyncio.run(index_fs(conda_forge, write_zst=False, write_shards=False))
    write_commands(root / "bin")
    sys.stdout.flush()
    os._exit(0)  # py-rattler's threads can crash an interpreter that shuts down
