"""What every set is read to: patches, each with its subset, and the channels that all of them have."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Channel:
    """A channel of all patches: its name, units and what it is; `dated`: it changes with the date; `masked`:
    clouds are taken out of it."""

    name: str
    units: str
    source: str
    dated: bool = False
    masked: bool = False


@dataclass(frozen=True)
class Pixels:
    """`values` float32 (time, channel, row, col), NaN = no data; `label` uint8 (row, col): 1 landslide, 0
    not, 255 unmapped, or the codes of several classes; `place`: the patch's grid on Earth, if the file tells
    it."""

    values: np.ndarray
    label: np.ndarray
    place: Grid | None = None


@dataclass(frozen=True)
class Patch:
    """A patch of a set; nothing of it is read before `read` is called.

    `split`: train, validation or test, as published. `group`: the event or area it comes from, "" if unknown.
    `source`: its file, below the folder of the set. `read` raises a HeadscarpError that names the file if it
    is unfit. `size`: its rows and columns where the patches of a set differ in them; None: as the first's.
    """

    name: str
    split: str
    group: str
    source: str
    read: Callable[[], Pixels]
    size: tuple[int, int] | None = None


def folder_below(root: Path, name: str) -> Path:
    """The folder `name` in `root`, or up to two folders deeper: archives unpack with a folder of their own or
    without.

    Raises:
        HeadscarpError: there is none, or several.
    """
    found = folders_below(root, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise HeadscarpError(
            f"{root} has several folders '{name}' "
            f"({', '.join(str(path.relative_to(root)) for path in found)}); keep one"
        )
    listed = ", ".join(sorted(path.name for path in root.iterdir())[:8]) if root.is_dir() else ""
    raise HeadscarpError(
        f"{root} has no folder '{name}' (it holds {listed or 'nothing'}); unpack the set's archive there"
    )


def folders_below(root: Path, name: str) -> list[Path]:
    """Folders `name` in `root` or up to two folders deeper, but for those that only wrap another of their
    name."""
    found = [path for up in ("", "*/", "*/*/") for path in sorted(root.glob(up + name)) if path.is_dir()]
    return [path for path in found if not any(path in other.parents for other in found)]


def numbered_or_named(path: Path) -> tuple[str, int, str]:
    """A key that sorts image_10 behind image_9."""
    head = path.stem.rstrip("0123456789")
    tail = path.stem[len(head) :]
    return head, int(tail) if tail else -1, path.suffix


def require_images(masks: Iterable[str], images: Mapping[str, Path], folder: Path) -> None:
    """Refuse masks without an image, which a set that was unpacked in part has.

    Raises:
        HeadscarpError: a mask has none; the first is named.
    """
    if lonely := sorted(set(masks) - set(images)):
        raise HeadscarpError(
            f"{folder}: the mask '{lonely[0]}' and {len(lonely) - 1} more "
            "have no image; the set is not whole: unpack its archive again"
        )


def label_of_mask(mask: np.ndarray, path: str | Path) -> np.ndarray:
    """The label uint8 (row, col) of a mask (row, col) or (row, col, 1) of 0 and 1, or of 0 and 255, where the
    greater is landslide.

    Raises:
        HeadscarpError: the mask has another shape or holds other values.
    """
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[..., 0]
    if mask.ndim != 2:
        raise HeadscarpError(f"{path} has the shape {mask.shape}; a mask must be (row, col) or (row, col, 1)")
    values = np.unique(mask).tolist()
    if not (set(values) <= {0, 1} or set(values) <= {0, 255}):
        listed = ", ".join(f"{value:g}" for value in values[:6]) + (" …" if len(values) > 6 else "")
        raise HeadscarpError(
            f"{path} holds the values {listed}; a mask must hold 0 "
            "and 1, or 0 and 255, of which the greater is landslide"
        )
    return (mask > 0).astype(np.uint8)


def codes_of_mask(
    mask: np.ndarray, path: str | Path, values: Mapping[int, str], codes: Mapping[str, int]
) -> np.ndarray:
    """The label uint8 (row, col) of a mask (row, col) whose values stand for classes by name.

    Args:
        codes: the label of each class.

    Raises:
        HeadscarpError: the mask holds a value that `values` does not name.
    """
    found = np.unique(mask)
    if unknown := [value for value in found.tolist() if value not in values]:
        listed = ", ".join(f"{value:g}" for value in unknown[:6]) + (" …" if len(unknown) > 6 else "")
        raise HeadscarpError(
            f"{path} holds {listed}, which patch_set, values does not name (it names "
            f"{', '.join(f'{value}: {name}' for value, name in values.items())}); add what they stand for"
        )
    labels = np.array([codes[values[value]] for value in found.tolist()], np.uint8)
    return labels[np.searchsorted(found, mask)]


def unmapped(shape: tuple[int, int]) -> np.ndarray:
    """The label of a patch without a mask."""
    return np.full(shape, UNMAPPED, np.uint8)


def require_unique(patches: Iterable[Patch], folder: Path) -> None:
    """Refuse two patches of one name.

    Raises:
        HeadscarpError: there are two.
    """
    name, count = Counter(patch.name for patch in patches).most_common(1)[0]
    if count > 1:
        raise HeadscarpError(f"{folder}: {count} patches are called '{name}'; rename or remove all but one")
