"""The files that users bring: of which kinds they are, what lies in a zip, which CRS they are in."""

import errno
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pyproj import CRS

from headscarp.errors import HeadscarpError, NoCrsError
from headscarp.sources.netcdf import NETCDF
from headscarp.sources.unpack import name_of
from headscarp.vocabulary import require_known

GEODATABASE = ".gdb"  # a folder
VECTOR_FILES = (
    ".shp",
    ".gpkg",
    ".geojson",
    ".json",
    ".fgb",
    ".gml",
    ".kml",
    ".kmz",
    ".gpx",
    GEODATABASE,
    ".pbf",
    ".osm",
)
RASTER_FILES = (".tif", ".tiff", ".img", ".jp2", ".png", ".asc", *NETCDF)
CHOICE = "choose one by the key `layer` of its entry in the card"
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


def unpacked_file(
    path: Path, suffixes: Sequence[str], layer: str | None, scratch: Path
) -> tuple[Path, str | None]:
    """The file itself; of a zip, the only one in it or that which `layer` names, with its companions, under
    plain names in `scratch`.

    Names in a zip may be in any encoding and point anywhere; none is used for writing.

    Returns:
        The file, and `layer` where it still has to choose among layers.

    Raises:
        HeadscarpError: the zip is damaged or holds no such file, several, or none of that name.
    """
    if not is_zip(path):
        return path, layer
    with opened_zip(path) as archive:
        named = members_of(archive)
        mains = mains_of(named, suffixes)
        if not mains:
            raise HeadscarpError(
                f"{path} holds none of {', '.join(suffixes)}; unpack it and give the file itself"
            )
        if layer is None and len(mains) > 1:
            how = choice_text(path, sorted(mains)) if suffixes == VECTOR_FILES else CHOICE
            raise HeadscarpError(f"{path} holds several files: {', '.join(sorted(mains))}; {how}")
        of_zip = layer in mains or len(mains) > 1
        main = mains[require_known(layer, mains, f"{path}: layer")] if of_zip else next(iter(mains.values()))
        folder = scratch / path.stem
        target = folder / f"file{main.suffix}"
        (target if main.suffix.lower() == GEODATABASE else folder).mkdir(parents=True)
        for name, member in named.items():
            if name.parent == main:
                copied = target / name.name
            elif name.parent == main.parent and (
                name.stem == main.stem or name.name.startswith(f"{main.name}.")
            ):
                copied = folder / f"file{name.name[len(main.stem) :]}"
            else:
                continue
            with archive.open(member) as stream, open(copied, "wb") as sink:
                shutil.copyfileobj(stream, sink)
        return target, None if of_zip else layer


def refuse_partial_shapefile(file: Path, path: Path) -> None:
    """Refuse a Shapefile that is shorter than it says: its missing features would be read as ones without
    geometry (ESRI Shapefile Technical Description, 1998: bytes 24 to 27 are its length in 16-bit words).

    Raises:
        HeadscarpError: it is.
    """
    if file.suffix.lower() != ".shp":
        return
    with open(file, "rb") as stream:
        told = 2 * int.from_bytes(stream.read(28)[24:], "big")
    if file.stat().st_size < told:
        raise HeadscarpError(
            f"{path} is truncated ({file.stat().st_size} of {told} bytes of its .shp are there); "
            "fetch it or make it again"
        )


def is_zip(path: Path) -> bool:
    """Whether a file is a zip that is unpacked here; GDAL itself reads a zipped file geodatabase."""
    return path.suffix.lower() == ".zip" and not path.name.lower().endswith(".gdb.zip")


def files_in_zip(path: Path, suffixes: Sequence[str]) -> list[str]:
    """The names by which `layer` chooses a file of a zip.

    Raises:
        HeadscarpError: the zip is missing or damaged.
    """
    with opened_zip(path) as archive:
        return sorted(mains_of(members_of(archive), suffixes))


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip to read from.

    Raises:
        HeadscarpError: it is missing or damaged.
    """
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*DAMAGED_ZIP, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        raise HeadscarpError(
            f"{path} cannot be unpacked ({error}); it is truncated or encrypted: fetch it or make it again"
        ) from None


def members_of(archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    return {PurePosixPath(name_of(member)): member for member in archive.infolist() if not member.is_dir()}


def mains_of(named: Iterable[PurePosixPath], suffixes: Sequence[str]) -> dict[str, PurePosixPath]:
    """The files of a zip that are more than companions of others, each under its stem, or, where several
    have it, under its whole name; a file geodatabase is a folder of it."""
    found = {}
    for name in named:
        one = name.parent if name.parent.suffix.lower() == GEODATABASE else name
        if one.suffix.lower() in suffixes and "__MACOSX" not in one.parts:
            found[one] = None
    stems = Counter(one.stem for one in found)
    return {one.stem if stems[one.stem] == 1 else one.as_posix(): one for one in found}


def choice_text(path: Path, names: Sequence[str]) -> str:
    """How to choose one of several layers or files, in a card and on the command line."""
    return f"{CHOICE}, for `headscarp init` by '{path}|layername={names[0]}'"


def crs_of_file(own: Any, spec: Mapping[str, Any], path: Path, notes: list[str]) -> Any:
    """The CRS of a file: the key's, or its own.

    Raises:
        NoCrsError: there is neither.
    """
    if "crs" in spec:
        if own is not None and CRS.from_user_input(own) != CRS.from_user_input(spec["crs"]):
            notes.append(
                f"{path.name}: the file says {CRS.from_user_input(own).name}; "
                f"taken as {spec['crs']}, as the key `crs` says"
            )
        return spec["crs"]
    if own is None:
        raise NoCrsError(
            f"{path} has no CRS; find out which it is and give "
            "it as the key `crs`, for example `crs: EPSG:4326`"
        )
    return own
