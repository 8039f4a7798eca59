"""Where the patches of a set stand on its sheet, as patches.csv tells."""

import csv
from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from headscarp.codes import SPLITS
from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

PATCHES_FILE = "patches.csv"


@dataclass(frozen=True)
class PlacedPatch:
    """A line of patches.csv: where a patch stands on the sheet, its published subset, its event or area (""
    if unknown), and its place on Earth: CRS ("" if unknown) and the transform of its pixels."""

    name: str
    split: str
    group: str
    row: int
    col: int
    height: int
    width: int
    crs: str
    transform: Affine | None

    @property
    def area(self) -> tuple[slice, slice]:
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)


def read_patches(path: str | Path) -> list[PlacedPatch]:
    """Read patches.csv of a sheet (see `site.patch_sheet.build_sheet`).

    Raises:
        HeadscarpError: it is missing or damaged, or names an unknown subset.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            return [read_line(line, f"{path}: split") for line in csv.DictReader(stream)]
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes the cube of the set") from None
    except (KeyError, ValueError, TypeError) as error:
        raise HeadscarpError(
            f"{path} is damaged ({error}); delete it and run the rule that makes it again"
        ) from None


def read_line(line: dict[str, str], place: str) -> PlacedPatch:
    if None in line.values():
        raise ValueError("a line ends early")
    split = require_known(line["split"], SPLITS, place)
    transform = Affine(*map(float, line["transform"].split())) if line["crs"] else None
    return PlacedPatch(
        name=line["patch"],
        split=split,
        group=line["group"],
        row=int(line["row"]),
        col=int(line["col"]),
        height=int(line["height"]),
        width=int(line["width"]),
        crs=line["crs"],
        transform=transform,
    )
