"""Writing files whole or not at all, and reading small JSON records."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError

# What the system answers where nothing may be written
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)
# NumPy's error for a write that fell short has no number
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")


class DiskFullError(HeadscarpError):
    """There is no room for a file."""


class NotWritableError(HeadscarpError):
    """A file or folder may not be written."""


class NoRoomError(DiskFullError):
    """There would be no room for a file whose size is known before it is begun."""


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` (same suffix) that becomes `target` when the block succeeds.

    The block may create a file or a folder. When it fails, nothing is left and an existing `target` is
    untouched; what a process that was killed had left of the same target is removed.

    Raises:
        DiskFullError: the disk is full or the quota is used up.
        NotWritableError: the folder may not be written to.
    """
    target = Path(target)
    with writable(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
    # of a process that was killed and had the number of this one, as happens in containers
    if temporary.is_dir():
        remove(temporary)
    try:
        with writable(target):
            yield temporary
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(temporary, target)
    except BaseException as error:
        remove(temporary)
        if is_disk_full(error, target.parent) and not isinstance(error, NoRoomError):
            raise DiskFullError(
                f"the disk is full: {target} could not be written and nothing was left of it; "
                f"free some space on the disk of {target.parent} and run the same command again"
            ) from error
        raise


@contextmanager
def writable(target: Path) -> Iterator[None]:
    """A block that writes `target`; where the system does not let it, the error says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_WRITABLE or not lies_below(error.filename, target.parent):
            raise
        raise NotWritableError(
            f"{target} cannot be written ({error.strerror}); work in a folder that you may write to, "
            "files of a card may lie elsewhere"
        ) from None


def lies_below(path: Any, folder: Path) -> bool:
    """Whether an error's file is a folder, what it holds, or what holds it."""
    if not isinstance(path, str | Path):
        return False
    one, other = Path(path).resolve(), folder.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def remove_leftovers(target: Path) -> None:
    """Remove temporary files of `target` whose process has ended: one that was killed could not."""
    name = re.compile(rf"\.{re.escape(target.stem)}\.(\d+)\.partial.*")
    for path in target.parent.iterdir():
        if (found := name.fullmatch(path.name)) and not is_running(int(found[1])):
            remove(path)


def is_running(process: int) -> bool:
    """Whether a process of this machine has the number `process`."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: str | Path) -> None:
    """Remove a file or a folder, whichever it is, if it is there."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def is_disk_full(error: BaseException, folder: Path) -> bool:
    """Whether `error`, or one that it was raised from, comes from a full disk.

    GDAL reports it as text, often only in the cause, so words and free space are asked too.
    """
    if isinstance(error, DiskFullError):
        return True
    if isinstance(error, OSError) and (
        error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or SHORT_WRITE.search(str(error))
    ):
        return True
    if type(error).__module__.startswith(("rasterio", "pyogrio")):
        words = f"{error} {error.__cause__}".lower()
        if any(word in words for word in ("no space left", "write failed", "write error", "seek error")):
            return True
        return shutil.disk_usage(folder).free < 1 << 20
    before = error.__cause__ or error.__context__  # torch raises an error of its own while it closes the file
    return before is not None and is_disk_full(before, folder)


def require_room(folder: str | Path, needed: int, what: str) -> None:
    """Raise a `NoRoomError` unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoRoomError(
            f"there is no room for {what}: it needs {needed / 1e9:.3f} GB and the disk of {folder} "
            f"has {free / 1e9:.3f} GB free; free some space and run the same command again"
        )


def write_json(path: str | Path, record: Any) -> None:
    """Write `record` as indented JSON, atomically."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class Record(dict):
    """What a file holds, by name; a name that it lacks is an error that tells the file."""

    def __init__(self, path: str | Path, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.path = path

    def __missing__(self, name: str) -> Any:
        raise HeadscarpError(f"{self.path} lacks '{name}'; delete it and run the rule that makes it again")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a key that an object at its top lacks is a `HeadscarpError` as well.

    Raises:
        HeadscarpError: the file is missing or not JSON.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes it") from None
    except ValueError as error:  # neither JSON nor, it may be, text
        raise HeadscarpError(
            f"{path} is not valid JSON ({error}); delete it and run the rule that makes it again"
        ) from None
    return Record(path, content) if isinstance(content, dict) else content


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def relative_address(path: str | Path, folder: str | Path) -> str:
    """Where a file lies as seen from a folder, with forward slashes and "./" or "../" first."""
    address = Path(os.path.relpath(path, folder)).as_posix()
    return address if address.startswith("..") else f"./{address}"
