"""Names of the classes of a user's raster, from the files that stand beside it."""

import csv
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from headscarp.errors import HeadscarpError

Names = dict[int, str]


def legend_of(raster: Path) -> tuple[Names, str] | None:
    """{code: name} of a raster's classes and the name of the file that says it: a table `<stem>.csv` of codes
    and names, a QGIS style `<stem>.qml` of single values, or GDAL's `<name>.aux.xml` with an attribute table
    or names of categories. None where no such file names any.

    Raises:
        HeadscarpError: one of them cannot be read.
    """
    for path, read in places_of(raster):
        if not path.is_file():
            continue
        try:
            names = read(path)
        except (ElementTree.ParseError, UnicodeDecodeError, csv.Error) as error:
            raise HeadscarpError(
                f"{path}: the legend cannot be read ({error}); repair or remove it"
            ) from None
        if names:
            return names, path.name
    return None


def places_of(raster: Path) -> list[tuple[Path, Callable[[Path], Names]]]:
    """The files that may name the classes of a raster, each with what reads it."""
    return [
        (raster.with_suffix(".csv"), names_of_table),
        (raster.with_suffix(".qml"), names_of_style),
        (raster.with_name(f"{raster.name}.aux.xml"), names_of_gdal),
    ]


def names_of_table(path: Path) -> Names:
    """The first two columns of a CSV: codes and names; lines whose first field is no code are passed over."""
    text = path.read_text(encoding="utf-8-sig")
    delimiter = max(",;\t", key=text.split("\n", 1)[0].count)
    rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if len(row) > 1]
    return {int(row[0]): row[1].strip() for row in rows if row[0].strip().isdigit() and row[1].strip()}


def names_of_style(path: Path) -> Names:
    """The entries of a style of single values, those without a label left out."""
    entries = ElementTree.parse(path).getroot().iter("paletteEntry")
    found = [(entry.get("value", ""), entry.get("label", "")) for entry in entries]
    return {int(value): label for value, label in found if value.isdigit() and label}


def names_of_gdal(path: Path) -> Names:
    """The names of an attribute table (its value and its name column), or of categories from 0 on."""
    root = ElementTree.parse(path).getroot()
    table = root.find(".//GDALRasterAttributeTable")
    if table is not None:
        usages = [field.findtext("Usage", "").strip() for field in table.findall("FieldDefn")]
        value, name = (usages.index(code) if code in usages else None for code in ("5", "2"))  # MinMax, Name
        if value is not None and name is not None:
            rows = [[cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")]
            return {int(float(row[value])): row[name] for row in rows if row[name]}
    categories = root.findall(".//CategoryNames/Category")
    return {code: one.text for code, one in enumerate(categories) if one.text}
