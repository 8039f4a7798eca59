"""Unpacking a zip or tar archive into a folder: all of it, and nothing outside the folder, or not at all."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, is_disk_full, require_room

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


@dataclass(frozen=True)
class Member:
    """One file or folder of an archive: its name, size in bytes, and a way to read it (None: a folder)."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def unpack(archive: str | Path, folder: str | Path) -> None:
    """Unpack a zip or tar archive (also gzip, bzip2, xz) into `folder`, replacing it; when that fails nothing
    of the archive is left.

    Names in a zip that are not marked as UTF-8 are read as UTF-8 or, where they are not, as CP932 (Japanese
    Windows).

    Raises:
        HeadscarpError: a member would lie outside the folder, or is a link or a device; or the archive is
            damaged, empty, has a password, or is neither zip nor tar.
        DiskFullError: what it holds is larger than the free space.
    """
    archive, folder = Path(archive), Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open_members(archive) as members:
        if not members:
            raise HeadscarpError(f"{archive} holds no files; delete it and fetch it again")
        paths = [path_inside(member.name, str(archive)) for member in members]
        require_room(folder.parent, sum(member.size for member in members), f"what {archive} holds")
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            for member, path in zip(members, paths, strict=True):
                write_member(member, temporary / path)


def unpack_all(archives: Mapping[str, str | Path], folder: str | Path) -> None:
    """Put the files of {name: path} into `folder`, which appears whole or not at all: an archive is unpacked
    into a folder of its name, folders and other files are linked.

    Raises:
        HeadscarpError: as `unpack`.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for name, path in archives.items():
            if Path(path).suffix in ARCHIVES:
                unpack(path, temporary / Path(name).stem)
            else:
                (temporary / name).symlink_to(Path(path).resolve())


def path_inside(name: str, place: str) -> PurePosixPath:
    """The path of a member or file below its folder.

    Raises:
        HeadscarpError: the name leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))  # some Windows tools write backslashes
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise HeadscarpError(
            f"{place}: '{name}' would lie outside the folder, so nothing was written; do not trust this file"
        )
    return path


def write_member(member: Member, path: Path) -> None:
    if member.open is None:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


@contextmanager
def open_members(archive: Path) -> Iterator[list[Member]]:
    """Members of an archive, to be read while the block lasts; what the archive does wrong there becomes a
    `HeadscarpError`."""
    try:
        if tarfile.is_tarfile(archive):  # asked first, since a tar that holds a zip passes for a zip
            with tarfile.open(archive) as stream:
                members = [tar_member(stream, info, archive) for info in stream]
                require_end(stream)
                yield members
        else:
            with zipfile.ZipFile(archive) as stream:
                yield [zip_member(stream, info, archive) for info in stream.infolist()]
    except FileNotFoundError:
        raise HeadscarpError(f"{archive} does not exist; fetch it first") from None
    except DAMAGED as error:
        if is_disk_full(error, archive.parent):
            raise
        raise HeadscarpError(
            f"{archive} could not be unpacked and nothing of it was left: it is damaged, "
            f"has a password or is neither zip nor tar ({type(error).__name__}: "
            f"{error}); delete it and fetch it again, or unpack it yourself"
        ) from None


def zip_member(stream: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path) -> Member:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused_member(name_of(info), archive)
    return Member(name_of(info), info.file_size, None if info.is_dir() else lambda: stream.open(info))


def name_of(info: zipfile.ZipInfo) -> str:
    """Name of a zip's member; Python takes what is not marked as UTF-8 for CP437."""
    if info.flag_bits & 0x800:
        return info.filename
    raw = info.filename.encode("cp437")
    for encoding in ("utf-8", "cp932"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def tar_member(stream: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> Member:
    if info.isdir():
        return Member(info.name, 0, None)
    if not info.isfile():
        raise refused_member(info.name, archive)
    return Member(info.name, info.size, lambda: stream.extractfile(info))


def require_end(stream: tarfile.TarFile) -> None:
    """Raise where a tar has no block of zeros at its end; Python takes a damaged header for the end."""
    stream.fileobj.seek(stream.offset)
    if stream.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it ends too early")


def refused_member(name: str, archive: Path) -> HeadscarpError:
    """Data sets need no links and devices, and a link may lead out of the folder."""
    return HeadscarpError(
        f"{archive}: '{name}' is a link or a device, so nothing "
        "was unpacked; unpack it yourself if you trust it"
    )
