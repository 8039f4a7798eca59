"""How samples are drawn, as a card says it: windows of pixels and cells of susceptibility.

Nothing here needs more than Python, so that the plan can check what a card says before any job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from headscarp.codes import SPLITS
from headscarp.errors import HeadscarpError
from headscarp.schema import validate

LABEL_KINDS = ("inventory", "polygons", "points", "layer")  # what may label cells
RASTERS = (".tif", ".tiff", ".vrt", ".img", ".asc", ".nc", ".png", ".jp2")
AREA, TEST_WINDOWS = "area", "test_windows"
ROTATING_FOLDS = 3  # as many as scales have seeds, so that these together test all ground once


@dataclass(frozen=True)
class BlockSplit:
    """Spatial blocks of about `block` pixels, dealt to `folds` that are tested in turn: by seed s fold s
    modulo `folds`. The share `validation` of the ground that a fold does not test validates, the rest trains.

    The default block is three windows, so that one between two buffers still holds a window; two or one where
    the scene is too small or its slides too crowded for that.
    """

    block: int | None = None
    folds: int = ROTATING_FOLDS
    validation: float = 0.25
    buffer: int | None = None


@dataclass(frozen=True)
class StripSplit:
    """Strips along `axis`, divided at `edges` (fractions of the scene's width or height); `subsets` names
    each in turn."""

    axis: str = "x"
    edges: tuple[float, ...] = (0.53, 0.667)
    subsets: tuple[str, ...] = SPLITS
    buffer: int | None = None

    def __post_init__(self) -> None:
        if missing := [name for name in SPLITS if name not in self.subsets]:
            raise HeadscarpError(
                f"sampling, split, subsets: no strip is of {missing[0]}; give each of {', '.join(SPLITS)} one"
            )
        count = len(self.subsets) - 1
        if len(self.edges) != count or any(a >= b for a, b in pairwise(self.edges)):
            raise HeadscarpError(
                f"sampling, split, edges: {list(self.edges)} do not part {count + 1} strips; give {count} "
                f"ascending fractions"
            )


@dataclass(frozen=True)
class SceneSplit:
    """The scene `test` of a collage is left out, the others train.

    `validation` is the name of another scene, or the share of the other scenes' area that validates, in
    blocks of about `block` pixels.
    """

    test: str
    validation: float | str = 0.25
    block: int | None = None
    buffer: int | None = None

    def __post_init__(self) -> None:
        if self.validation == self.test:
            raise HeadscarpError(
                f"sampling, split, validation: {self.test} is the test scene; name another one, or a share"
            )


@dataclass(frozen=True)
class PatchSplit:
    """Whole patches of a set to train, validation and test; see `patch_split.blocked_subsets`.

    Where the places of patches are known, squares of `neighbourhood` x `neighbourhood` of them stay together,
    and `buffer` pixels on the ground between subsets are kept free. With several `folds` what stays together
    is dealt to them, and seed s tests fold s modulo `folds`; the first two of `fractions` then part the
    others into training and validation.
    """

    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    folds: int = 1
    neighbourhood: int = 8
    buffer: int | None = None

    def __post_init__(self) -> None:
        require_whole(self.fractions, "sampling, split, fractions")


@dataclass(frozen=True)
class SuperpixelSpec:
    """Training windows centred on SLIC superpixels and balanced by multistage sampling (Xia et al. 2019,
    2021); see `samples.superpixels`.

    Superpixels have about `pixels` pixels and the `compactness` of scikit-image's SLIC, on `channels` of the
    cube. Windows are added until the largest class covers at most `bound` times what the smallest does, or
    there are `maximum` of them.
    """

    pixels: int = 400
    compactness: float = 10.0
    channels: tuple[str, ...] = ("red", "green", "blue")
    bound: float = 4.0
    maximum: int = 400


BLOCKS, PATCHES, SCENES = "blocks", "patches", "scenes"
SPLIT_KINDS = {BLOCKS: BlockSplit, PATCHES: PatchSplit, SCENES: SceneSplit, "strips": StripSplit}


def rotating_folds(sampling: Mapping[str, Any]) -> int:
    """How many folds a card's `sampling` deals the ground to under `blocked`, also where it is not complete
    (of a scene that is no site of its own); 1 where all seeds test the same ground."""
    split = sampling.get("split", {})
    return split.get("folds", ROTATING_FOLDS if split.get("kind", BLOCKS) == BLOCKS else 1)


@dataclass(frozen=True)
class SamplingSpec:
    """How windows are drawn: sizes in pixels; `background_ratio` windows without landslide are drawn per
    window with one.

    Without `seeded_on_landslides` all windows of the grid are taken. With `superpixels` training windows are
    centred on superpixels instead and validation windows are all those of the grid. `evaluate` says what the
    protocol `published` scores: the mapped `area`, as Gao et al. (2021), or the windows of a random test set,
    as Zhang et al. (2024).
    """

    window: int = 64
    stride: int = 32
    seeded_on_landslides: bool = True
    background_ratio: float = 0.0
    train_fraction: float = 0.3
    evaluate: str = AREA
    superpixels: SuperpixelSpec | None = None
    split: BlockSplit | PatchSplit | SceneSplit | StripSplit = field(default_factory=BlockSplit)

    def __post_init__(self) -> None:
        if self.stride > self.window:
            raise HeadscarpError(
                f"sampling, stride: {self.stride} is more than the window ({self.window}), so that pixels "
                f"would be left out; make it smaller"
            )

    @property
    def kind(self) -> str:
        """Name of the kind of split in a card: blocks, patches, scenes or strips."""
        return next(name for name, kind in SPLIT_KINDS.items() if isinstance(self.split, kind))

    @property
    def folds(self) -> int:
        """How many folds rotate with the seed under `blocked`; 1 where all seeds test the same ground."""
        return self.split.folds if isinstance(self.split, BlockSplit | PatchSplit) else 1

    @property
    def buffer(self) -> int:
        """Pixels kept free between windows of different subsets; half a window unless given."""
        return self.window // 2 if self.split.buffer is None else self.split.buffer

    @classmethod
    def from_record(cls, record: Mapping[str, Any], place: str = "sampling") -> "SamplingSpec":
        """Build the spec from a card's `sampling`, with defaults for what it leaves out.

        Raises:
            HeadscarpError: it does not follow the schema, or its parts contradict each other.
        """
        validate("sampling", record, place)
        split, superpixels = dict(record.get("split", {})), record.get("superpixels")
        kind = SPLIT_KINDS[split.pop("kind", BLOCKS)]
        return cls(
            **{key: value for key, value in record.items() if key not in ("split", "superpixels")},
            superpixels=None if superpixels is None else SuperpixelSpec(**with_tuples(superpixels)),
            split=kind(**with_tuples(split)),
        )


@dataclass(frozen=True)
class CellsSpec:
    """How cells are labelled and split; sizes in cells.

    Attributes:
        windows: sizes of the windows around a cell; one of n cells at (r, c) covers the rows r - n//2 … r -
        n//2 + n - 1, columns likewise.
        label_share: share of a cell that landslides must cover.
        test_fraction: of the cells, in a random hold-out (zhang2024, stage 1: 80 % and 20 %).
        validation: share of the training ground that validates in a hold-out of spatial blocks.
        folds: 1 is a hold-out, of which under `blocked` the spatial fold rotates with the seed (`rotating`);
            k from 3 on is cross-validation within each run, every cell tested once.
        block: side of a spatial block; None is three of the largest window, or two or one where the map is
        too small for that.
        buffer: cells this near to another subset are left out; None is the least that keeps their largest
        windows apart.
        background_ratio: cells without landslide that are drawn to train for each landslide cell; None takes
        all. Cells that validate or are tested are never thinned: shares of the area stay true.

    Raises:
        HeadscarpError: parts contradict each other.
    """

    windows: tuple[int, ...] = (12, 17, 22)
    label_share: float = 0.1
    test_fraction: float = 0.2
    validation: float = 0.25
    folds: int = 1
    block: int | None = None
    buffer: int | None = None
    background_ratio: float | None = None

    def __post_init__(self) -> None:
        least = self.largest_window - 1
        if self.buffer is not None and self.buffer < least:
            raise HeadscarpError(
                f"cells, buffer: {self.buffer} will not do; it must be null or at least {least} cells, which "
                f"keep windows of {self.largest_window} apart"
            )

    @property
    def rotating(self) -> int:
        """How many spatial folds rotate with the seed under `blocked`; 1 where a run tests all folds."""
        return ROTATING_FOLDS if self.folds == 1 else 1

    @property
    def largest_window(self) -> int:
        return max(self.windows)

    @property
    def separation(self) -> int:
        """Cells of different subsets are further apart than this, along rows or along columns."""
        return self.largest_window - 1 if self.buffer is None else self.buffer

    @classmethod
    def from_record(cls, record: Mapping[str, Any], place: str = "cells") -> "CellsSpec":
        """Build the spec from a card's `cells`, with defaults for what it leaves out; the labels in it are
        `cell_labels.source_of`'s.

        Raises:
            HeadscarpError: it does not follow the schema, or its parts contradict each other.
        """
        validate("cells", record, place)
        given = {key: value for key, value in record.items() if key in cls.__dataclass_fields__}
        return cls(**with_tuples(given))


def label_kind(record: Mapping[str, Any]) -> str:
    """Which of `LABEL_KINDS` labels the cells of a card's `cells`.

    Raises:
        HeadscarpError: none does.
    """
    kind = next((name for name in LABEL_KINDS if name in record), None)
    if kind is None:
        raise HeadscarpError(
            "the card's `cells` have no labels; give one of these: `polygons: {file: landslides.gpkg, area: "
            "outline.gpkg}`, outlines of landslides; `points: {file: landslides.gpkg, area: outline.gpkg}`, "
            "points of them (with `label: column` where it tells landslides from others); `layer: {channel: "
            "label, above: 0}`, the site's own labels, such as a raster; `inventory: {}`, what the card's "
            "`inventory` maps"
        )
    return kind


def refuse_raster(file: str | Path) -> None:
    """Refuse a raster where `cells` take landslides as vectors, with the way in which rasters are given."""
    if Path(file).suffix.lower() in RASTERS:
        raise HeadscarpError(
            f"{file} is a raster, and `cells` take polygons or points here; give it as `labels: {{classes: "
            f"{Path(file).name}, values: {{0: not a landslide, 1: landslide}}}}` of the site's `layers`, and "
            "the cells `layer: {channel: label, above: 0}`"
        )


def with_tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with tuples for lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}


def require_whole(fractions: Sequence[float], place: str) -> None:
    """Refuse fractions of train, validation and test that do not sum to 1."""
    if abs(sum(fractions) - 1) >= 1e-6:
        raise HeadscarpError(f"{place}: {list(fractions)} sum to {sum(fractions):g}; they must sum to 1")
