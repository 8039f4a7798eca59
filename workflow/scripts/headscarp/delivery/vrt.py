"""Rasters that exist as a description (VRT) of other files beside them: several layers as the bands of one
image, and the mean of the bands of a raster.

Their format is that of https://gdal.org/en/stable/drivers/raster/vrt.html, which GDAL 3.6 and later reads.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from headscarp.files import atomic_path, relative_address
from headscarp.geo.layer import open_raster

COLOURS = ("Red", "Green", "Blue")


def write_image(target: Path, layers: Sequence[Path]) -> None:
    """Three layers on one grid, of one band each, as the bands of an image.

    Raises:
        HeadscarpError: a layer is missing or unreadable.
    """
    root = described(layers[0])
    for number, (path, colour) in enumerate(zip(layers, COLOURS, strict=True), start=1):
        band = add_band(root, number, path)
        SubElement(band, "ColorInterp").text = colour
        add_source(band, "SimpleSource", path, 1, target)
    write(target, root)


def write_mean(target: Path, raster: Path) -> None:
    """The mean of the bands of a raster, no data where any band has none.

    Raises:
        HeadscarpError: the raster is missing or unreadable.
    """
    with open_raster(raster) as source:
        count = source.count
    root = described(raster)
    band = add_band(root, 1, raster, subClass="VRTDerivedRasterBand")
    SubElement(band, "PixelFunctionType").text = "sum"
    for number in range(1, count + 1):
        source = add_source(band, "ComplexSource", raster, number, target)
        SubElement(source, "ScaleRatio").text = repr(1 / count)
    write(target, root)


def described(raster: Path) -> Element:
    """The description of a raster of the grid of another, without bands."""
    with open_raster(raster) as source:
        root = Element("VRTDataset", rasterXSize=str(source.width), rasterYSize=str(source.height))
        SubElement(root, "SRS").text = source.crs.to_wkt()
        SubElement(root, "GeoTransform").text = ", ".join(map(repr, source.transform.to_gdal()))
    return root


def add_band(root: Element, number: int, raster: Path, **attributes: str) -> Element:
    """A band of the type and the value of no data of a raster's first band."""
    with open_raster(raster) as source:
        kind, nodata = source.dtypes[0], source.nodata
    kind = {"uint8": "Byte"}.get(kind, kind.capitalize().replace("Uint", "UInt"))
    band = SubElement(root, "VRTRasterBand", dataType=kind, band=str(number), **attributes)
    if nodata is not None:
        SubElement(band, "NoDataValue").text = f"{nodata:.17g}"
    return band


def add_source(band: Element, kind: str, raster: Path, number: int, target: Path) -> Element:
    """Where a band takes its pixels from, as seen from the folder of the described raster."""
    source = SubElement(band, kind)
    address = relative_address(raster, target.parent)
    SubElement(source, "SourceFilename", relativeToVRT="1").text = address
    SubElement(source, "SourceBand").text = str(number)
    return source


def write(target: Path, root: Element) -> None:
    ElementTree.indent(root)
    with atomic_path(target) as temporary:
        temporary.write_text(ElementTree.tostring(root, encoding="unicode") + "\n", encoding="utf-8")
