"""The cube of a set of patches that have no common grid: side by side on one sheet with nothing between
them."""

import csv
import math
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
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
    """Where `count` patches of `height` x `width` pixels stand: `across` in a row, `gap` pixels or more
    between and around them.

    From one patch to the next is a multiple of GAP pixels.
    """

    count: int
    height: int
    width: int

    @property
    def across(self) -> int:
        return math.ceil(math.sqrt(self.count))

    @property
    def pitch(self) -> tuple[int, int]:
        """Pixels (rows, columns) from one patch to the next."""
        return -(-self.height // GAP) * GAP + GAP, -(-self.width // GAP) * GAP + GAP

    @property
    def shape(self) -> tuple[int, int]:
        down = -(-self.count // self.across)
        return GAP + down * self.pitch[0], GAP + self.across * self.pitch[1]

    def corner(self, number: int) -> tuple[int, int]:
        """First row and column of a patch."""
        down, right = divmod(number, self.across)
        return GAP + down * self.pitch[0], GAP + right * self.pitch[1]


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
        [replace(patch, read=partial(read_joined, patch, join)) for patch in patch_set.patches],
        out_folder,
        record["name"],
        record["data"],
        patch_set.channels,
        patch_set.resolution_m and patch_set.resolution_m * join,
    )


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
    mapped, slides = ((label == code).sum(axis=(1, 3)) for code in (UNMAPPED, LANDSLIDE))
    mapped = join * join - mapped
    joined = np.where(2 * slides >= mapped, LANDSLIDE, BACKGROUND)
    known = np.where(2 * mapped >= join * join, joined, UNMAPPED).astype(np.uint8)
    place = pixels.place
    coarse = Grid(place.crs, place.transform @ Affine.scale(join), height, width) if place else None
    return Pixels(means.astype(np.float32), known, coarse)


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
    height, width, gap} and `notes`. patches.csv has a line for each patch: patch, split (as published), group
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
    sheet = Sheet(len(patches), *first.shape[2:])
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
        lines, grids = zip(*write_patches(patches, sheet, first.shape, cube, label, instances), strict=True)
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
    size = {"count": sheet.count, "height": sheet.height, "width": sheet.width, "gap": GAP}
    size |= {} if resolution_m else {"size_known": False}
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
    shape: tuple[int, ...],
    cube: Path,
    label: Path,
    instances: Path,
) -> Iterator[tuple[dict[str, Any], Grid | None]]:
    """Write each patch, of `shape` (time, channel, row, col), into the files of the sheet; yield its line of
    patches.csv and its place."""
    last = 0
    for number, patch in enumerate(
        tqdm(patches, desc="patches", unit="patch", disable=not sys.stderr.isatty(), leave=False)
    ):
        pixels = patch.read()
        require_fit(patch, pixels, shape, patches[0])
        row, col = sheet.corner(number)
        place = slice(row, row + sheet.height), slice(col, col + sheet.width)
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
            "row": row,
            "col": col,
            "height": sheet.height,
            "width": sheet.width,
            "mapped": int((pixels.label != UNMAPPED).any()),
            "source": patch.source,
            "crs": grid.crs if grid else "",
            "transform": " ".join(f"{number:.10g}" for number in list(grid.transform)[:6]) if grid else "",
        }
        yield line, grid


def require_fit(patch: Patch, pixels: Pixels, shape: tuple[int, ...], first: Patch) -> None:
    """Refuse a patch of another shape than (time, channel, row, col) of the first, or with a label of
    another."""
    if pixels.values.shape != shape:
        raise HeadscarpError(
            f"{patch.source}: the patch '{patch.name}' has the shape {pixels.values.shape} "
            f"(time, channel, row, col), the first, '{first.name}', {shape}; all patches "
            "of a set must be alike: remove the others or take them as a site of their own"
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
