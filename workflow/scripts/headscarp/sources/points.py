"""Points with a yes-or-no label: R data (.rda), tables (.csv) and point vector files (.gpkg, .geojson, .shp,
.zip)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas
from rasterio.errors import CRSError
from rasterio.warp import transform as transform_points

from headscarp.errors import HeadscarpError
from headscarp.geo.vectors import read_vectors
from headscarp.vocabulary import require_known

LABELS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
R_DATA = (".rda", ".rdata")
VECTORS = (".gpkg", ".geojson", ".shp", ".zip")


def read_points(
    path: str | Path, columns: Mapping[str, str], crs: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read labelled points.

    Args:
        columns: names of the columns that hold the coordinates and the label, {"x", "y", "label"}; without
            `label` all points are landslides, and a vector file needs no other. R data and CSV do not say in
            which CRS they are: `crs` here says it, without it they are taken to be in the other `crs`.
        crs: CRS of the coordinates returned.

    Returns:
        x, y (n) float64 in units of `crs`; label (n) bool, True for a landslide. Labels may be logical, 0 and
        1, or the words true and
        false in any case (factors included).

    Raises:
        HeadscarpError: the file is missing, unreadable or of another kind, a column is missing, or a value is
            missing or no label.
    """
    path = Path(path)
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    if path.suffix.lower() in VECTORS:
        table = read_vectors(path, crs)
        if wrong := sorted(set(table.geometry.geom_type) - {"Point"}):
            raise HeadscarpError(
                f"{path} holds features of the kind {wrong[0]}, not "
                "points only; take their centroids or another file"
            )
        x, y = table.geometry.x.to_numpy(), table.geometry.y.to_numpy()
    else:
        table = read_r_data(path) if path.suffix.lower() in R_DATA else read_csv(path)
        x, y = (coordinate(table, columns[axis], path) for axis in ("x", "y"))
        if "crs" in columns:
            x, y = transformed(x, y, columns["crs"], crs, path)
    slides = labels_of(table, columns["label"], path) if "label" in columns else np.ones(len(table), bool)
    return x, y, slides


def read_r_data(path: Path) -> pandas.DataFrame:
    """The data frame of an R data file, which must hold one."""
    import rdata  # here, since only this kind of file needs it

    try:
        objects = rdata.read_rda(path)
    except Exception as error:  # rdata lets whatever its decompressors and parsers meet through
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no R data: fetch it or make it again"
        ) from None
    frames = [value for value in objects.values() if isinstance(value, pandas.DataFrame)]
    if len(frames) != 1:
        raise HeadscarpError(
            f"{path} holds {len(frames)} data frames, it must hold one; save the one with the points alone"
        )
    return frames[0]


def read_csv(path: Path) -> pandas.DataFrame:
    if path.suffix.lower() != ".csv":
        raise HeadscarpError(
            f"{path} is no file of points that can be read; known are "
            f"{', '.join((*R_DATA, '.csv', *VECTORS))}"
        )
    try:
        return pandas.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no CSV: fetch it or make it again"
        ) from None


def column(table: pandas.DataFrame, name: str, path: Path) -> pandas.Series:
    values = table[require_known(name, map(str, table.columns), f"{path}: column")]
    if missing := int(values.isna().sum()):
        raise HeadscarpError(
            f"{path}: {missing} values of the column '{name}' "
            "are missing; fill them in or remove these points"
        )
    return values


def coordinate(table: pandas.DataFrame, name: str, path: Path) -> np.ndarray:
    values = pandas.to_numeric(column(table, name, path), errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise HeadscarpError(
            f"{path}: the column '{name}' holds something that is no number; a coordinate must be one"
        )
    return values


def transformed(
    x: np.ndarray, y: np.ndarray, own: str, crs: str, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = transform_points(own, crs, x, y)
    except CRSError:
        raise HeadscarpError(
            f"the CRS '{own}' of the points of {path} is unknown; use a code such as EPSG:32717"
        ) from None
    return np.array(x), np.array(y)


def labels_of(table: pandas.DataFrame, name: str, path: Path) -> np.ndarray:
    words = column(table, name, path).astype(str).str.strip().str.lower()
    if strange := sorted(set(words) - set(LABELS)):
        raise HeadscarpError(
            f"{path}: the column '{name}' holds '{strange[0]}'; a label must be true or false, or 1 or 0"
        )
    return words.map(LABELS).to_numpy(bool)
