"""A site that runs are scored on, and what they find in it, invent and miss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.ground import TRUE_COLOUR, band_limits, composite, image_bands, paint
from headscarp.exhibits.panels.marks import outline, show
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import record
from headscarp.files import read_json
from headscarp.samples.splits import TEST
from headscarp.site.cube import open_array


def samples_of(site: SiteFiles, protocol: str) -> Path:
    """Folder of the samples of a site under a protocol.

    Raises:
        HeadscarpError: the site has none.
    """
    if protocol not in site.samples:
        raise HeadscarpError(
            f"site '{site.name}' has no samples of protocol '{protocol}'; make them, or leave the "
            f"protocol out of the exhibit"
        )
    return site.samples[protocol]


def regions_of(site: SiteFiles, protocol: str, view: View) -> np.ndarray:
    """Regions of a protocol's split, thinned: 0 unused, 1 train, 2 validation, 3 test."""
    return view.thin(open_array(samples_of(site, protocol) / "regions.npy"))


CONFUSION = (
    (palette.TRUE_POSITIVE, "True positive"),
    (palette.FALSE_POSITIVE, "False positive"),
    (palette.FALSE_NEGATIVE, "False negative"),
)
FADED = 0.55  # how far an image is washed out below the colours of found, false and missed
OUTCOMES = ("found", "false", "missed")
COLOURS = tuple(colour for colour, _ in CONFUSION)
LEGEND = tuple(zip(COLOURS, ("Found", "False", "Missed"), strict=True))


@dataclass(frozen=True)
class Scene:
    """A scored site under one protocol: reference (row, col), evaluated pixels (row, col), and how its image
    is stretched."""

    site: SiteFiles
    channels: Sequence[str]
    limits: np.ndarray
    label: np.ndarray
    tested: np.ndarray

    @classmethod
    def of(cls, spec: ExhibitSpec, protocol: str) -> "Scene":
        site = spec.only_site()
        grid = site_grid(site)
        whole = View.of(grid, max(grid.shape))
        channels = spec.options.get("composite", TRUE_COLOUR)
        limits = band_limits(image_bands(View.of(grid), site, channels))
        label = whole.read(layer_path(site, "label"), classes=True)
        return cls(
            site, channels, limits, label, (regions_of(site, protocol, whole) == TEST) & (label != UNMAPPED)
        )

    def view(self, window: tuple[int, int, int, int]) -> View:
        return View.of(site_grid(self.site), window=window)

    def image(self, view: View) -> np.ndarray:
        return composite(view, self.site, self.channels, self.limits)


def draw_reference(axes: Axes, scene: Scene, view: View, width: float) -> None:
    """The image with the outlines of reference landslides."""
    show(axes, scene.image(view), view)
    outline(axes, view.thin(scene.label) == LANDSLIDE, view, palette.IMAGE_SLIDE, width)


def draw_outcomes(axes: Axes, scene: Scene, view: View, run: RunFiles) -> dict[str, int]:
    """The washed-out image with found, false and missed pixels of the evaluated region; returns how many
    drawn pixels are which."""
    threshold = read_json(run.maps / "scores.json")["threshold"]
    predicted = view.read(run.maps / "probability.tif", classes=True) >= threshold
    slide, tested = view.thin(scene.label) == LANDSLIDE, view.thin(scene.tested)
    image = (1 - FADED) * scene.image(view) + FADED
    masks = [mask & tested for mask in (predicted & slide, predicted & ~slide, ~predicted & slide)]
    for colour, mask in zip(COLOURS, masks, strict=True):
        paint(image, mask, colour)
    show(axes, image, view)
    if not tested.all():
        outline(axes, tested, view, "black", 0.6)
    return {outcome: int(mask.sum()) for outcome, mask in zip(OUTCOMES, masks, strict=True)}


def outcome_records(
    spec: ExhibitSpec, row: str, run: RunFiles, counts: dict[str, int], note: str
) -> Iterator[dict[str, Any]]:
    for outcome, count in counts.items():
        rest = {"protocol": run.protocol, "n_seeds": 1, "data": spec.only_site().data, "note": note}
        yield record(spec, row, f"{outcome}_pixels", float(count), **rest)


def nothing_to_show(spec: ExhibitSpec, protocol: str) -> HeadscarpError:
    return HeadscarpError(
        f"exhibit '{spec.name}' ({spec.kind}): the evaluated region of site '{spec.only_site().name}' "
        f"under protocol '{protocol}' holds no "
        "landslide to show; make the samples with another seed, or leave the protocol out of the exhibit"
    )


def whole_view(site: SiteFiles) -> View:
    """A site at full resolution."""
    grid = site_grid(site)
    return View.of(grid, max(grid.shape))


def scene_of(spec: ExhibitSpec, site: SiteFiles) -> Scene:
    """A site whose labelled pixels all count, with the stretch of its image."""
    channels = spec.options.get("composite", TRUE_COLOUR)
    limits = band_limits(image_bands(View.of(site_grid(site)), site, channels))
    label = whole_view(site).read(layer_path(site, "label"), classes=True)
    return Scene(site, channels, limits, label, label != UNMAPPED)


def scenes_of(spec: ExhibitSpec) -> dict[str, Scene]:
    """{protocol: scene} of an exhibit of runs: its site with the pixels evaluated under the protocol or, with
    the option `elsewhere`, its target site, where all labelled pixels are evaluated.

    Raises:
        HeadscarpError: `elsewhere` without a target, samples are missing, or no pixel is evaluated.
    """
    if spec.options.get("elsewhere"):
        if spec.target is None:
            raise HeadscarpError(
                f"exhibit '{spec.name}' of card '{spec.card}' ({spec.kind}) has the option `elsewhere` "
                f"but no `target`"
            )
        scene = scene_of(spec, spec.target)
        scenes = dict.fromkeys(spec.protocols, scene)
    else:
        scene = scene_of(spec, spec.only_site())
        whole = whole_view(scene.site)
        scenes = {
            protocol: replace(scene, tested=scene.tested & (regions_of(scene.site, protocol, whole) == TEST))
            for protocol in spec.protocols
        }
    for protocol, one in scenes.items():
        if not one.tested.any():
            raise HeadscarpError(
                f"exhibit '{spec.name}' ({spec.kind}): site '{one.site.name}' has no labelled pixel to "
                f"evaluate under '{protocol}'; "
                "make its samples again, or leave the protocol out of the exhibit"
            )
    return scenes


def first_runs(spec: ExhibitSpec, protocol: str) -> list[RunFiles]:
    """The first seed of each row under a protocol."""
    return [runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))]


def classes_of(run: RunFiles, scene: Scene) -> np.ndarray:
    """The class map (row, col) of a run at full resolution."""
    return whole_view(scene.site).read(run.maps / "classes.tif", classes=True)


def draw_evaluated(axes: Axes, scene: Scene, view: View, picture: np.ndarray) -> None:
    """A picture (row, col, 3) on the evaluated region, the washed-out image beside it."""
    tested = view.thin(scene.tested)
    image = (1 - FADED) * scene.image(view) + FADED
    image[tested] = picture[tested]
    show(axes, image, view)
    if not tested.all():
        outline(axes, tested, view, "black", 0.6)


def fraction(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
