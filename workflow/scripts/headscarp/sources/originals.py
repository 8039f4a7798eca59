"""The files that users bring: of which kinds they are, what lies in a zip, which CRS they are in."""

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pyproj import CRS

from headscarp.errors import HeadscarpError, NoCrsError
from headscarp.sources.netcdf import NETCDF
from headscarp.sources.unpack import name_of
from headscarp.vocabulary import require_known

VECTOR_FILES = (".shp", ".gpkg", ".geojson", ".json", ".fgb", ".gml", ".kml", ".pbf", ".osm")
RASTER_FILES = (".tif", ".tiff", ".img", ".jp2", ".png", ".asc", *NETCDF)


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
    if path.suffix.lower() != ".zip" or path.name.lower().endswith(".gdb.zip"):
        return path, layer
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        with zipfile.ZipFile(path) as archive:
            named = {
                PurePosixPath(name_of(member)): member for member in archive.infolist() if not member.is_dir()
            }
            mains = {
                name.stem: name
                for name in named
                if name.suffix.lower() in suffixes and "__MACOSX" not in name.parts
            }
            if not mains:
                raise HeadscarpError(
                    f"{path} holds none of {', '.join(suffixes)}; unpack it and give the file itself"
                )
            if layer is None and len(mains) > 1:
                raise HeadscarpError(
                    f"{path} holds several files: {', '.join(sorted(mains))}; choose one by the key `layer`"
                )
            main = (
                mains[require_known(layer, mains, f"{path}: layer")]
                if layer in mains or len(mains) > 1
                else next(iter(mains.values()))
            )
            folder = scratch / path.stem
            folder.mkdir()
            for name, member in named.items():
                if name.parent == main.parent and (name.stem == main.stem or name.name.startswith(main.name)):
                    with (
                        archive.open(member) as stream,
                        open(folder / f"file{name.name[len(main.stem) :]}", "wb") as sink,
                    ):
                        shutil.copyfileobj(stream, sink)
            return folder / f"file{main.suffix}", None if layer == main.stem else layer
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise HeadscarpError(
            f"{path} cannot be unpacked ({error}); it is truncated or encrypted: fetch it or make it again"
        ) from None


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
