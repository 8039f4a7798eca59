"""The QGIS project of one site: all that was mapped of it, its inventory and the ground below, with their
styles, and a page to print.

A project (QGZ) is a ZIP that holds one XML file (QGS). It names its layers relative to its own folder, so
that a folder of results can be moved whole. It is written without QGIS, after what QGIS 3.22 writes, which
reads and draws it in tests/deploy/test_qgis.py.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from pyproj import CRS

from headscarp.codes import NOT_LANDSLIDE, UNMAPPED
from headscarp.delivery.ground import label_path
from headscarp.delivery.mapped_runs import MappedRun, runs_of_page
from headscarp.delivery.print_layout import Legend, Texts, add_layout
from headscarp.delivery.styles import (
    BINARY,
    QGIS,
    class_style,
    image_style,
    landslide_style,
    probability_style,
    relief_style,
    susceptibility_style,
    text_of,
    uncertainty_style,
)
from headscarp.delivery.vrt import write_image, write_mean
from headscarp.exhibits.layers import has_layer, layer_path, layer_record, site_grid
from headscarp.exhibits.panels.ground import band_limits, image_bands
from headscarp.exhibits.panels.location import locator
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import TWIN, SiteFiles
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path, read_json, relative_address
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_raster

# Of the file inside, so that the same site gives the same bytes; a ZIP knows no earlier day.
MIDNIGHT = (1980, 1, 1, 0, 0, 0)
READABLE = 0o644 << 16  # permissions of the file inside, where ZIP has them
OF_STYLE_FILES = ("version", "styleCategories")  # attributes of a style that a layer of a project has not


@dataclass(frozen=True)
class ProjectLayer:
    """One layer of a project: `key` tells it from the others, `title` what people read, `path` its file and
    `table` the table in it where it holds vectors. `legend` lists the entries of its legend that the printed
    page shows, counted from 0 (of rasters the first is the name of the band); None: all."""

    key: str
    title: str
    path: Path
    crs: str
    style: Element
    shown: bool
    table: str = ""
    legend: Sequence[int] | None = None

    @property
    def identifier(self) -> str:
        """Its name in the file; QGIS gives those of fewer than eleven letters another."""
        return f"headscarp_{self.key}"

    @property
    def provider(self) -> str:
        return "ogr" if self.table else "gdal"

    def source(self, folder: Path) -> str:
        """Where it lies as seen from the folder of the project."""
        return relative_address(self.path, folder) + (f"|layername={self.table}" if self.table else "")


@dataclass(frozen=True)
class Group:
    """Layers under one heading, the topmost first; those of a group that is not `shown` are hidden whatever
    they say."""

    title: str
    layers: Sequence[ProjectLayer]
    shown: bool = True


def write_project(record: Mapping[str, Any], target: str | Path, folder: str | Path) -> None:
    """Write the QGIS project of a site and the folder of described rasters (VRT) that it shows.

    Args:
        record: as `summary_page.build_page` takes it, with `susceptibility`: records of `title` and `map`, a
            raster of susceptibility with a band for each fold.
        target: the project; `folder` lies beside it.

    Raises:
        HeadscarpError: a file is missing, unreadable or not on the grid of its site, or the composite names a
        layer that the site has not.
    """
    site, target, folder = SiteFiles.from_record(dict(record)), Path(target), Path(folder)
    runs = runs_of_page(record)
    grid = site_grid(site)
    folder.mkdir(parents=True, exist_ok=True)
    groups = [
        *run_groups(runs, site, grid),
        *susceptibility_groups(record["susceptibility"], folder, shown=not runs),
        *ground_groups(site, grid, record["composite"], folder),
    ]
    text = text_of(project(site.title, grid, groups, texts_of(site, grid, record, runs), target.parent))
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        inside = zipfile.ZipInfo(f"{target.stem}.qgs", MIDNIGHT)
        inside.external_attr, inside.compress_type = READABLE, zipfile.ZIP_DEFLATED
        packed.writestr(inside, text.encode("utf-8"))


# --- which layers


def run_groups(runs: Sequence[MappedRun], site: SiteFiles, grid: Grid) -> Iterator[Group]:
    """What each run mapped, shown of the first alone."""
    classes = several_classes(site)
    for number, run in enumerate(runs, start=1):
        layers = [
            ProjectLayer(
                f"run{number}_landslides",
                "Mapped landslides, by mean probability",
                run.maps / "landslides.gpkg",
                grid.crs,
                landslide_style(),
                shown=True,
                table="landslides",
            ),
            ProjectLayer(
                f"run{number}_mask",
                f"Landslides, probability {run.scores['threshold']:.3g} or more",
                run.maps / "mask.tif",
                grid.crs,
                class_style(),
                shown=False,
            ),
            ProjectLayer(
                f"run{number}_probability",
                "Probability of landslide",
                run.maps / "probability.tif",
                grid.crs,
                probability_style(),
                shown=True,
                legend=(1,),
            ),
        ]
        if len(run.seeds) > 1:
            layers.append(
                ProjectLayer(
                    f"run{number}_uncertainty",
                    "Uncertainty: standard deviation between trainings",
                    run.maps / "uncertainty.tif",
                    grid.crs,
                    uncertainty_style(),
                    shown=False,
                )
            )
        if classes and not run.choice:
            path = run.maps / "classes.tif"
            layers.append(
                ProjectLayer(
                    f"run{number}_classes",
                    "Likeliest class",
                    path,
                    grid.crs,
                    class_style(classes),
                    shown=False,
                )
            )
        yield Group(run.title, layers, shown=number == 1)


def several_classes(site: SiteFiles) -> dict[int, str]:
    """{code: name} of the classes that the labels of a site tell apart; none where they tell landslides
    alone."""
    listed = layer_record(site, "label").get("classes") or {}
    names = {int(code): name for code, name in listed.items() if int(code) not in (UNMAPPED, NOT_LANDSLIDE)}
    return names if len(names) > len(BINARY) else {}


def susceptibility_groups(maps: Sequence[Mapping[str, Any]], folder: Path, shown: bool) -> Iterator[Group]:
    """Maps of susceptibility, each the mean of its folds; the first is on."""
    layers = []
    for number, one in enumerate(maps, start=1):
        path = folder / f"susceptibility{number}.vrt"
        write_mean(path, Path(one["map"]))
        with open_raster(path) as source:
            crs = grid_of(source).crs
        layers.append(
            ProjectLayer(
                f"susceptibility{number}",
                one["title"],
                path,
                crs,
                susceptibility_style(),
                number == 1,
                legend=(1,),
            )
        )
    if layers:
        yield Group("Susceptibility", layers, shown)


def ground_groups(
    site: SiteFiles, grid: Grid, channels: Sequence[str] | None, folder: Path
) -> Iterator[Group]:
    """Inventory, image and relief of a site, as far as it has them."""
    if truth := label_path(site):
        style = class_style(several_classes(site) or BINARY)
        labels = ProjectLayer("inventory", "Inventory of the site", truth, grid.crs, style, shown=True)
        yield Group("Inventory", [labels], shown=False)
    layers = []
    if channels:
        limits = band_limits(image_bands(View.of(grid), site, channels))
        path = folder / "image.vrt"
        write_image(path, [layer_path(site, channel) for channel in channels])
        title = f"Image: {', '.join(channels)}"
        layers.append(
            ProjectLayer("image", title, path, grid.crs, image_style(limits.tolist()), True, legend=())
        )
    if has_layer(site, "elevation"):
        path = layer_path(site, "elevation")
        layers.append(ProjectLayer("relief", "Relief", path, grid.crs, relief_style(), not layers, legend=()))
    if layers:
        yield Group("Ground", layers)


def texts_of(site: SiteFiles, grid: Grid, record: Mapping[str, Any], runs: Sequence[MappedRun]) -> Texts:
    """What the printed page says."""
    dates = [str(date) for date in read_json(site.folder / "layers" / "layers.json")["dates"]]
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    maps = [one["title"] for one in record["susceptibility"]]
    shown = f"Landslides mapped by {runs[0].title}" if runs else "Susceptibility: " + maps[0] if maps else ""
    where = f"{locator(grid, site.placeless)} · {when}"
    simulated = f"{SIMULATED[0].upper()}{SIMULATED[1:]}. " if site.data == TWIN else ""
    return Texts(site.title, " · ".join(filter(None, (shown, where))), simulated + (record["citation"] or ""))


# --- how a project says it


def project(title: str, grid: Grid, groups: Sequence[Group], texts: Texts, folder: Path) -> Element:
    """A project as QGIS reads it, of layers named relative to a folder."""
    root = Element("qgis", projectname=title, version=QGIS)
    SubElement(root, "homePath", path="")
    SubElement(root, "title").text = title
    add_crs(SubElement(root, "projectCrs"), grid.crs)
    layers = [layer for group in groups for layer in group.layers]
    root.append(layer_tree(groups, folder))
    canvas = SubElement(root, "mapcanvas", name="theMapCanvas", annotationsVisible="1")
    SubElement(canvas, "units").text = "meters"
    extent = SubElement(canvas, "extent")
    for name, value in bounds_of(grid).items():
        SubElement(extent, name).text = value
    SubElement(canvas, "rotation").text = "0"
    add_crs(SubElement(canvas, "destinationsrs"), grid.crs)
    listed = SubElement(root, "projectlayers")
    for layer in layers:
        listed.append(map_layer(layer, folder))
    order = SubElement(root, "layerorder")
    for layer in layers:
        SubElement(order, "layer", id=layer.identifier)
    properties = SubElement(root, "properties")
    SubElement(SubElement(properties, "Paths"), "Absolute", type="bool").text = "false"
    SubElement(SubElement(properties, "SpatialRefSys"), "ProjectionsEnabled", type="int").text = "1"
    seen = [
        Legend(tree_layer(layer, folder), layer.legend)
        for group in groups
        if group.shown
        for layer in group.layers
        if layer.shown and layer.legend != ()
    ]
    add_layout(root, grid.bounds, texts, seen)
    view = SubElement(SubElement(root, "ProjectViewSettings"), "DefaultViewExtent", bounds_of(grid))
    add_crs(view, grid.crs)
    return root


def bounds_of(grid: Grid) -> dict[str, str]:
    """The bounds of a grid under the names that QGIS gives them."""
    return {
        name: f"{bound:.10g}"
        for name, bound in zip(("xmin", "ymin", "xmax", "ymax"), grid.bounds, strict=True)
    }


def layer_tree(groups: Sequence[Group], folder: Path) -> Element:
    """The list of layers that people see, under headings."""
    root = Element("layer-tree-group")
    for group in groups:
        heading = SubElement(
            root,
            "layer-tree-group",
            name=group.title,
            checked=checked(group.shown),
            expanded="1" if group.shown else "0",
        )
        heading.extend(tree_layer(layer, folder) for layer in group.layers)
    return root


def tree_layer(layer: ProjectLayer, folder: Path) -> Element:
    """A layer in such a list."""
    return Element(
        "layer-tree-layer",
        id=layer.identifier,
        name=layer.title,
        checked=checked(layer.shown),
        expanded="0",
        source=layer.source(folder),
        providerKey=layer.provider,
    )


def checked(shown: bool) -> str:
    return "Qt::Checked" if shown else "Qt::Unchecked"


def map_layer(layer: ProjectLayer, folder: Path) -> Element:
    """A layer with its file and its style."""
    kind = {"type": "vector", "geometry": "Polygon"} if layer.table else {"type": "raster"}
    of_style = {name: value for name, value in layer.style.attrib.items() if name not in OF_STYLE_FILES}
    root = Element("maplayer", of_style | kind)
    SubElement(root, "id").text = layer.identifier
    SubElement(root, "datasource").text = layer.source(folder)
    SubElement(root, "layername").text = layer.title
    add_crs(SubElement(root, "srs"), layer.crs)
    provider = SubElement(root, "provider")
    provider.text = layer.provider
    if layer.table:
        provider.set("encoding", "UTF-8")
    root.extend(layer.style)
    return root


def add_crs(parent: Element, crs: str) -> None:
    """A CRS as a child of `parent`; QGIS knows it by its text."""
    known = CRS.from_user_input(crs)
    described = SubElement(parent, "spatialrefsys")
    SubElement(described, "wkt").text = known.to_wkt()
    SubElement(described, "authid").text = ":".join(known.to_authority() or ())
    SubElement(described, "description").text = known.name
    SubElement(described, "geographicflag").text = "true" if known.is_geographic else "false"
