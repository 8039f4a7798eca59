"""The cube of a set of patches that have no common grid: side by side on one sheet with nothing between
them."""

import csv
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from tqdm import tqdm

from headscarp.arrays import stream_array
from headscarp.codes import BACKGROUND, LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.rasters import resolution_m as resolution_of
from headscarp.site.labels import connected_labels
from headscarp.sources.patch_sets.patch import Channel, Patch, Pixels
from headscarp.sources.patch_sets.registry import open_patch_set

GAP = 32
ROWS_AT_ONCE = 32
CRS = "EPSG:32631"  # metres, as any zone's
NO_LOCATION_NOTE = (
    f"a sheet of patches has no place on Earth: its grid, in metres ({CRS}) with its own "
    "corner at 0, 0, only orders them; patches.csv tells the place of each where it is known"
)
UNKNOWN_SIZE_NOTE = "the size of a pixel is not known: lengths and areas count it as one metre"
AFTER_THE_EVENT, IMAGE = "after the event", "image"
COLUMNS = ("patch", "split", "group", "row", "col", "height", "width", "mapped", "source", "crs", "transform")


@dataclass(frozen=True)
class Sheet:
    """Where patches of `sizes` (rows, columns of each) stand: as many side by side as the root of their
    number, GAP pixels or more between and around them.

    From one patch to the next is a multiple of GAP pixels.
    """

    sizes: Sequence[tuple[int, int]]

    @cached_property
    def corners(self) -> list[tuple[int, int]]:
        """First row and column of each patch."""
        corners, top = [], GAP
        for line in self._lines:
            lefts = accumulate((pitch(width) for _, width in line), initial=GAP)
            corners += [(top, left) for left, _ in zip(lefts, line, strict=False)]
            top += max(pitch(height) for height, _ in line)
        return corners

    @property
    def shape(self) -> tuple[int, int]:
        return (
            GAP + sum(max(pitch(height) for height, _ in line) for line in self._lines),
            GAP + max(sum(pitch(width) for _, width in line) for line in self._lines),
        )

    @property
    def _lines(self) -> list[Sequence[tuple[int, int]]]:
        across = math.ceil(math.sqrt(len(self.sizes)))
        return [self.sizes[start : start + across] for start in range(0, len(self.sizes), across)]

    def area(self, number: int) -> tuple[slice, slice]:
        """Rows and columns of a patch."""
        (row, col), (height, width) = self.corners[number], self.sizes[number]
        return slice(row, row + height), slice(col, col + width)


def pitch(side: int) -> int:
    """Pixels from one patch of a side to the next."""
    return -(-side // GAP) * GAP + GAP


def build_patch_set(record: Mapping[str, Any], raw_folder: str | Path, out_folder: str | Path) -> None:
    """Write the cube of a set of patches that was unpacked into `raw_folder`.

    Args:
        record: the part `patch_set` of a card's site (see `sources.patch_sets.registry.open_patch_set`), with
            the site's `name` and `data`, and how many cells to `join` in each direction (one unless given).

    Raises:
        HeadscarpError: as `open_patch_set` and `build_sheet`.
    """
    patch_set = open_patch_set(
        {key: value for key, value in record.items() if key not in ("name", "data", "join")}, raw_folder
    )
    join = record.get("join", 1)
    build_sheet(
        [joined(patch, join) for patch in patch_set.patches],
        out_folder,
        record["name"],
        record["data"],
        patch_set.channels,
        patch_set.resolution_m and patch_set.resolution_m * join,
    )


def joined(patch: Patch, join: int) -> Patch:
    """A patch of which `join` x `join` cells are one."""
    size = patch.size and (patch.size[0] // join, patch.size[1] // join)
    return replace(patch, read=partial(read_joined, patch, join), size=size)


def read_joined(patch: Patch, join: int) -> Pixels:
    """The pixels of a patch, `join` x `join` of its cells in one; a rest at the right and below is left out.

    Raises:
        HeadscarpError: the patch is unfit, or smaller than one such cell.
    """
    pixels = patch.read()
    if join == 1:
        return pixels
    height, width = (side // join for side in pixels.label.shape)
    if not (height and width):
        raise HeadscarpError(
            f"{patch.source}: the patch '{patch.name}' has {pixels.label.shape} rows and columns, of which "
            f"{join} become one at this scale; make the scale's `size` larger"
        )
    values = pixels.values[..., : height * join, : width * join]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell without any value stays without
        means = np.nanmean(values.reshape(*values.shape[:2], height, join, width, join), axis=(-3, -1))
    label = pixels.label[: height * join, : width * join].reshape(height, join, width, join)
    place = pixels.place
    coarse = Grid(place.crs, place.transform @ Affine.scale(join), height, width) if place else None
    return Pixels(means.astype(np.float32), joined_label(label, join), coarse)


def joined_label(label: np.ndarray, join: int) -> np.ndarray:
    """The label (row, col) of cells (row, join, col, join): unmapped where less than half is mapped,
    landslide where half of what is mapped or more is, else what most of the rest is."""
    codes = np.array(sorted({BACKGROUND, *np.unique(label)} - {UNMAPPED, LANDSLIDE}), np.uint8)
    others = codes[np.stack([(label == code).sum(axis=(1, 3)) for code in codes]).argmax(axis=0)]
    mapped, slides = (label != UNMAPPED).sum(axis=(1, 3)), (label == LANDSLIDE).sum(axis=(1, 3))
    known = np.where(2 * slides >= mapped, np.uint8(LANDSLIDE), others)
    return np.where(2 * mapped >= join * join, known, np.uint8(UNMAPPED))


def build_sheet(
    patches: Iterable[Patch],
    out_folder: str | Path,
    name: str,
    data: str,
    channels: Sequence[Channel],
    resolution_m: float | None,
) -> None:
    """Write the sheet `name` of patches as `cube.npy`, `label.npy`, `instances.npy`, `cube.json` and
    `patches.csv`.

    Each file appears whole or not at all, and patches are read and written one by one. All else is no data
    (NaN, label 255, instance 0): GAP pixels or more around every patch. Slides are connected
    cells of a patch, numbered on from patch to patch. cube.json has, beside the usual, `patches`: {count,
    gap} and `notes`. patches.csv has a line for each patch: patch, split (as published), group
    (event or area), row, col, height, width (its pixels of the sheet), mapped (1, or 0 without a mask),
    source (file), crs and transform (a b c d e f; empty if unknown).

    Args:
        data: real or twin.
        resolution_m: size of a cell; where it is None a cell counts as one metre, and `patches` of cube.json
            says `size_known: false`.

    Raises:
        HeadscarpError: there is no patch, one is unfit, or has another size, number of channels or of dates
            than the first; or the disk is full.
    """
    patches, out = list(patches), Path(out_folder)
    if not patches:
        raise HeadscarpError(f"site {name}: the set has no patch; unpack its archive")
    first = patches[0].read().values
    sheet = Sheet([patch.size or first.shape[2:] for patch in patches])
    if first.shape[1] != len(channels):
        raise HeadscarpError(
            f"{patches[0].source} has {first.shape[1]} channels, "
            f"the set {len(channels)}; the file is another's"
        )
    with ExitStack() as files:
        cube = files.enter_context(
            blank_array(out / "cube.npy", np.float32, (*first.shape[:2], *sheet.shape), np.nan)
        )
        label = files.enter_context(blank_array(out / "label.npy", np.uint8, sheet.shape, UNMAPPED))
        instances = files.enter_context(blank_array(out / "instances.npy", np.int32, sheet.shape, 0))
        planes = first.shape[:2]
        lines, grids = zip(*write_patches(patches, sheet, planes, cube, label, instances), strict=True)
    with (
        atomic_path(out / "patches.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)
    cell = resolution_m or 1.0
    grid = Grid(CRS, Affine(cell, 0, 0, 0, -cell, 0), *sheet.shape)
    header = {"site": name, "data": data, "grid": grid.to_record(), "dates": dates_of(len(first))}
    described = {"channels": [asdict(channel) for channel in channels], "classes": None}
    unknown = [] if resolution_m else [UNKNOWN_SIZE_NOTE]
    sizes = {resolution_of(patch_grid) for patch_grid in grids if patch_grid}
    size = {"count": len(patches), "gap": GAP} | ({} if resolution_m else {"size_known": False})
    write_json(
        out / "cube.json",
        header
        | described
        | {"patches": size, "notes": [NO_LOCATION_NOTE, *notes_on(lines, sizes, cell), *unknown]},
    )


def dates_of(count: int) -> list[str]:
    """Dates of a sheet: its patches are of different days, so that they count images."""
    return [AFTER_THE_EVENT] if count == 1 else [f"{IMAGE} {number}" for number in range(1, count + 1)]


@contextmanager
def blank_array(path: Path, dtype: type, shape: tuple[int, ...], fill: float) -> Iterator[Path]:
    """A new .npy file full of `fill`, to be changed in the block by `write_part`; it appears as `path` when
    that succeeds.

    It is written whole before it is mapped into memory, because a full disk under a memory map kills the
    process.
    """
    with atomic_path(path) as temporary:
        part = (ROWS_AT_ONCE, shape[-1])
        rows = math.prod(shape[:-1])
        tops = range(0, rows, ROWS_AT_ONCE)
        stream_array(temporary, dtype, shape, (np.full(part, fill, dtype)[: rows - top] for top in tops))
        yield temporary


def write_part(path: Path, place: tuple[slice, slice], values: np.ndarray) -> None:
    """Write values (…, row, col) at a place of a .npy file, which is mapped for that only: pages of a map
    that stays count as memory."""
    np.lib.format.open_memmap(path, mode="r+")[(..., *place)] = values


def write_patches(
    patches: Sequence[Patch],
    sheet: Sheet,
    planes: tuple[int, int],
    cube: Path,
    label: Path,
    instances: Path,
) -> Iterator[tuple[dict[str, Any], Grid | None]]:
    """Write each patch, of `planes` (time, channel), into the files of the sheet; yield its line of
    patches.csv and its place."""
    last = 0
    for number, patch in enumerate(
        tqdm(patches, desc="patches", unit="patch", disable=not sys.stderr.isatty(), leave=False)
    ):
        pixels = patch.read()
        require_fit(patch, pixels, (*planes, *sheet.sizes[number]), patches[0])
        place = sheet.area(number)
        write_part(cube, place, np.where(np.isfinite(pixels.values), pixels.values, np.nan))
        write_part(label, place, pixels.label)
        slides = connected_labels(pixels.label, patch.name, []).instances
        write_part(instances, place, np.where(slides > 0, slides + np.int32(last), 0))
        last += int(slides.max(initial=0))
        grid = pixels.place
        line = {
            "patch": patch.name,
            "split": patch.split,
            "group": patch.group,
            "row": place[0].start,
            "col": place[1].start,
            "height": sheet.sizes[number][0],
            "width": sheet.sizes[number][1],
            "mapped": int((pixels.label != UNMAPPED).any()),
            "source": patch.source,
            "crs": grid.crs if grid else "",
            "transform": " ".join(f"{number:.10g}" for number in list(grid.transform)[:6]) if grid else "",
        }
        yield line, grid


def require_fit(patch: Patch, pixels: Pixels, shape: tuple[int, ...], first: Patch) -> None:
    """Refuse a patch of another `shape` (time, channel, row, col) than the sheet has room for, that of the
    first where a set does not say otherwise, or with a label of another."""
    if pixels.values.shape != shape:
        raise HeadscarpError(
            f"{patch.source}: the patch '{patch.name}' has the shape {pixels.values.shape} "
            f"(time, channel, row, col), the first, '{first.name}', {shape}; all patches "
            "of this set must be alike: remove the others or take them as a site of their own"
        )
    if pixels.label.shape != shape[2:]:
        raise HeadscarpError(
            f"{patch.source}: the mask of the patch '{patch.name}' has the shape "
            f"{pixels.label.shape}, its image {shape[2:]}; they do not belong together"
        )


def notes_on(lines: Sequence[Mapping[str, Any]], sizes: Iterable[float], resolution: float) -> list[str]:
    """What a reader must know of the patches: those without a mask, and cells of another size than the
    sheet's."""
    notes = []
    for split in dict.fromkeys(line["split"] for line in lines):
        mapped = [line["mapped"] for line in lines if line["split"] == split]
        if not all(mapped):
            notes.append(
                f"{mapped.count(0)} of {len(mapped)} {split} patches "
                "have no mask: they are unmapped and never scored"
            )
    if others := sorted(size for size in sizes if abs(size - resolution) > 0.01 * resolution):
        listed = ", ".join(f"{size:g}" for size in others[:6]) + (" …" if len(others) > 6 else "")
        notes.append(
            f"cells of some patches have other sizes ({listed} m) than "
            f"{resolution:g} m; areas are counted in cells of that size"
        )
    return notes
