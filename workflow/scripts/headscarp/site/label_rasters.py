"""Rasters of labels as users have them: masks of any type of number, and what their values mean.

A card says it by `values` ({value of the mask: class name, or unlabelled}), which then counts whatever the
file declares as no data, or else the values are the codes of `names`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import open_any_raster, open_raster
from headscarp.geo.rasters import require_cover, resample_classes
from headscarp.sources.parts import RasterPart, chunks, write_part
from headscarp.sources.validity import GREATEST, opaque
from headscarp.vocabulary import require_known

SLIDE_NAMES = {0: "not a landslide", LANDSLIDE: "landslide"}
UNLABELLED = "unlabelled"
NAN = "nan"  # the key of `values` for cells without a number
LISTED = 12  # values that a message lists
MOST_VALUES = 10_000  # a raster of more different numbers is none of labels

# A value of a label raster; None: no number (NaN, beyond GREATEST, or transparent).
Value = int | None


@dataclass(frozen=True)
class Meaning:
    """What the values of a label raster mean: `codes` {value: class code, 255 unlabelled}, `names` {code:
    name}; `of_values`: the card says it value by value."""

    codes: Mapping[Value, int]
    names: Mapping[int, str]
    of_values: bool


def meaning_of(
    labels: Mapping[str, Any], place: str = "labels", names: Mapping[int, str] = SLIDE_NAMES
) -> Meaning:
    """What a card's `labels` with `classes` say of the raster's values.

    Args:
        place: of the labels in the card, for messages.
        names: of the classes where the card gives none.

    Raises:
        HeadscarpError: `values` has a class that is not among the names.
    """
    names = {int(code): name for code, name in labels.get("names", names).items()}
    if "values" not in labels:
        return Meaning({code: code for code in names}, names, False)
    known = {name: code for code, name in names.items()} | {UNLABELLED: UNMAPPED}
    codes = {
        None if str(value) == NAN else int(value): known[require_known(name, known, f"{place}.values: class")]
        for value, name in labels["values"].items()
    }
    return Meaning(codes, names, True)


def codes_on_grid(path: str | Path, meaning: Meaning, grid: Grid, place: str = "labels") -> np.ndarray:
    """Class codes uint8 (row, col) of a label raster on a grid: the nearest cell's, on a coarser grid the
    commonest; 255 where it has no label.

    Raises:
        HeadscarpError: as `codes_of_file`; the file has no CRS, lies beside the grid or has no label on it.
    """
    with open_raster(path) as source:
        require_cover(source, grid, 0.0)
    codes = codes_of_file(path, meaning, place)
    with TemporaryDirectory() as scratch:
        write_codes(path, Path(scratch) / "codes.tif", codes)
        with open_raster(Path(scratch) / "codes.tif") as source:
            values, _ = resample_classes(source, 1, grid)
    if (values == UNMAPPED).all():
        raise HeadscarpError(
            f"{path} holds no label on the site: every cell there is no data or {UNLABELLED}; take another "
            f"file, or say in {place}.values what its values mean"
        )
    return values


def codes_of_file(path: str | Path, meaning: Meaning, place: str = "labels") -> dict[Value, int]:
    """{value: class code} of all values of a label raster.

    What `values` names is what it says. Else the file's no-data value, cells without a number and 255 are
    unlabelled.

    Raises:
        HeadscarpError: the file is missing or unreadable; as `counted_values`; a value has no meaning; the
            no-data value is the code of a class too; values are 0 and 255 and the card does not say what 255
            is.
    """
    with open_any_raster(path) as source:
        present, nodata = counted_values(source), nodata_of(source)
    known = {None: UNMAPPED, UNMAPPED: UNMAPPED} | ({} if nodata is None else {nodata: UNMAPPED})
    if not meaning.of_values:
        if nodata in present and nodata in meaning.codes:
            raise HeadscarpError(
                f"{path} declares {nodata} as no data, which is the class '{meaning.names[nodata]}' too; say "
                f"what each value is, as in {example(present, meaning.names)} ({UNLABELLED}: no data)"
            )
        if set(present) - {None} == {0, UNMAPPED}:
            raise HeadscarpError(
                f"{path} holds 0 and 255 and no {LANDSLIDE}; say whether 255 are the landslides or no data: "
                f"`labels: {{values: {{0: {meaning.names.get(0, SLIDE_NAMES[0])}, "
                f"255: {meaning.names.get(LANDSLIDE, SLIDE_NAMES[LANDSLIDE])}}}}}` (or `255: {UNLABELLED}`)"
            )
    known |= meaning.codes
    unknown = [value for value in present if value not in known]
    if unknown:
        raise HeadscarpError(f"{path} holds the values {listed(unknown)}, {remedy(unknown, meaning, place)}")
    return {value: known[value] for value in present}


def remedy(unknown: list[int], meaning: Meaning, place: str) -> str:
    """What a message says of values without a meaning."""
    if len(unknown) > LISTED:
        return (
            f"too many for classes of {place}; if they number the slides, give these as polygons "
            f"(`gdal_polygonize.py`) or as a mask of 0 and 1"
        )
    if meaning.of_values:
        classes = ", ".join([*meaning.names.values(), UNLABELLED])
        return (
            f"which {place}.values does not map; add each there, for example `{unknown[0]}: {UNLABELLED}` "
            f"(the classes are: {classes})"
        )
    return (
        f"which {place}.names does not name (it names {', '.join(map(str, meaning.names))}); name them, or "
        f"say what each is, as in {example(unknown, {})}"
    )


def example(values: Mapping[Value, int] | list[int], names: Mapping[int, str]) -> str:
    """What `values` of a card could say of values."""
    said = ", ".join(
        f"{value}: {names.get(value, UNLABELLED)}"
        for value in sorted(value for value in values if value is not None)[:LISTED]
    )
    return f"`labels: {{values: {{{said}}}}}`"


def listed(values: list[int]) -> str:
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    return ", ".join(map(str, values[:LISTED])) + more


def nodata_of(source: rasterio.DatasetReader) -> int | None:
    """The whole number that a raster declares as no data, if it is one that a class can have."""
    nodata = source.nodata
    return int(nodata) if nodata is not None and abs(nodata) < GREATEST and nodata == round(nodata) else None


def counted_values(source: rasterio.DatasetReader) -> dict[Value, int]:
    """Number of cells of every value of a label raster, values rising, None last; nothing is left out as no
    data.

    Raises:
        HeadscarpError: its bands differ; it holds broken numbers, or more different ones than labels have.
    """
    counts: Counter[Value] = Counter()
    for window in chunks(source.height, source.width):
        cells = cells_of(source, window)
        found, number = np.unique(cells.compressed(), return_counts=True)
        if (broken := found[found != np.round(found)]).size:
            name = Path(source.name).name
            raise HeadscarpError(
                f"{source.name} holds broken numbers (such as {broken[0]:g}), as a map of probabilities or a "
                f"smoothed mask does; make it one of 0 and 1, for example with "
                f'`gdal_calc.py -A {name} --calc="A>=0.5" --type=Byte --outfile=mask.tif`'
            )
        counts.update(dict(zip(map(int, found), number.tolist(), strict=True)))
        counts[None] += int(np.ma.count_masked(cells))
        if len(counts) > MOST_VALUES:
            raise HeadscarpError(
                f"{source.name} holds more than {MOST_VALUES} different values, too many for labels; give "
                f"landslides as polygons, or as a mask of 0 and 1"
            )
    empty = counts.pop(None)
    return dict(sorted(counts.items())) | ({None: empty} if empty else {})


def cells_of(source: rasterio.DatasetReader, window: Window) -> np.ma.MaskedArray:
    """Cells (row, col) of a label raster, masked where there is no number: NaN, beyond GREATEST, transparent,
    or outside the file's own mask.

    Raises:
        HeadscarpError: its bands differ, or are of complex numbers.
    """
    alpha = [band for band in source.indexes if source.colorinterp[band - 1] == ColorInterp.alpha]
    bands = source.read([band for band in source.indexes if band not in alpha], window=window)
    if np.iscomplexobj(bands):
        raise HeadscarpError(f"{source.name} holds complex numbers; give labels as whole numbers")
    if not np.array_equal(bands, np.broadcast_to(bands[0], bands.shape), equal_nan=bands.dtype.kind == "f"):
        raise HeadscarpError(
            f"{source.name} has {len(bands)} bands that differ, as a coloured picture has; give the mask as "
            f"one band of class values"
        )
    empty = np.zeros(bands[0].shape, bool)
    if bands.dtype.kind == "f":
        empty = ~(np.abs(bands[0]) < GREATEST)  # of NaN too
    if alpha:
        clear = source.read(alpha[0], window=window)
        empty |= clear < opaque(clear.dtype) / 2
    elif MaskFlags.per_dataset in source.mask_flag_enums[0]:
        empty |= source.read_masks(1, window=window) == 0
    return np.ma.MaskedArray(bands[0], empty)


def write_codes(path: str | Path, target: Path, codes: Mapping[Value, int]) -> None:
    """Write a label raster as class codes, uint8, 255 unlabelled."""
    with open_raster(path) as source:

        def read(window: Window) -> tuple[np.ndarray, np.ndarray]:
            cells = cells_of(source, window)
            coded = np.full(cells.shape, codes.get(None, UNMAPPED), np.uint8)
            for value, code in codes.items():
                if value is not None:
                    coded[(cells.data == float(value)) & ~cells.mask] = code
            return coded[None], coded[None] != UNMAPPED

        part = RasterPart(
            crs=source.crs,
            transform=source.transform,
            height=source.height,
            width=source.width,
            dtype="uint8",
            nodata=UNMAPPED,
            names=[None],
            units=[None],
            read=read,
        )
        write_part(part, target)
