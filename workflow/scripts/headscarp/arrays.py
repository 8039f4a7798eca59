"""Arrays on disk, as .npy and .npz files. NumPy only."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.files import Record, atomic_path


def open_array(path: str | Path) -> np.ndarray:
    """Memory-map a .npy file for reading.

    Raises:
        HeadscarpError: it is missing or damaged.
    """
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes it") from None
    except Exception as error:  # NumPy answers a damaged file with many kinds
        raise HeadscarpError(
            f"{path} is not a whole array ({error}); delete it and run the rule that makes it again"
        ) from None


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a .npz file by name; one that it lacks is a `HeadscarpError` as well.

    Raises:
        HeadscarpError: it is missing or damaged.
    """
    try:
        with np.load(path) as stored:
            return Record(path, stored)
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes it") from None
    except Exception as error:  # NumPy and zipfile answer a damaged file with many kinds
        raise HeadscarpError(
            f"{path} is damaged ({error}); delete it and run the rule that makes it again"
        ) from None


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Write a .npy file, atomically."""
    with atomic_path(path) as temporary:
        np.save(temporary, array)


def stream_array(path: str | Path, dtype: type, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
    """Write a .npy file of this type and shape from consecutive parts, atomically.

    Appended rather than filled through a memory map, because a full disk under a memory map kills the
    process.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part, dtype).data)


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed .npz file of named arrays, atomically."""
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)
