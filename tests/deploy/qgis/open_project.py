"""Run by the Python of QGIS: opens a project, renders each of its layers, all that are on, and its printed
page, and tells what it found.

python3 open_project.py PROJECT FOLDER METRES STYLES…: FOLDER gets report.json and the pictures; a pixel of
maps is METRES wide; STYLES are style files beside the files that they are of, drawn as `style_<name>.png`.
"""

import json
import sys
from pathlib import Path

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsLayoutExporter,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

MAP_DPI, PAGE_DPI = 300, 96


def render(layers, extent, crs, width, path):
    """A picture of layers on white, `width` pixels wide."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(width, round(width * extent.height() / extent.width())))
    settings.setOutputDpi(MAP_DPI)
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    assert job.renderedImage().save(str(path))
    return [error.message for error in job.errors()]


def tree_of(group):
    """Names of groups and layers with what is on, as people see them."""
    return [
        [
            child.name(),
            child.itemVisibilityChecked(),
            *([tree_of(child)] if hasattr(child, "findLayers") and child.children() else []),
        ]
        for child in group.children()
    ]


def box_of(item):
    """Left, top, width and height of an item of a page, in mm."""
    place = item.pagePos()
    return [place.x(), place.y(), item.rect().width(), item.rect().height()]


def styled(path, folder, pixel_m):
    """What a style file makes of the layer beside it, and a picture of that."""
    file = next(path.with_suffix(ending) for ending in (".tif", ".gpkg") if path.with_suffix(ending).exists())
    is_vector = file.suffix == ".gpkg"
    layer = QgsVectorLayer(str(file), file.stem, "ogr") if is_vector else QgsRasterLayer(str(file), file.stem)
    message, read = layer.loadNamedStyle(str(path))
    extent = layer.extent()
    render([layer], extent, layer.crs(), round(extent.width() / pixel_m), folder / f"style_{path.stem}.png")
    return {"valid": layer.isValid(), "read": read, "message": message, "renderer": layer.renderer().type()}


def main(path, folder, pixel_m, styles):
    project = QgsProject.instance()
    read = project.read(str(path))
    extent = QgsRectangle(project.viewSettings().defaultViewExtent())
    width = round(extent.width() / pixel_m)
    report = {
        "version": Qgis.QGIS_VERSION_INT,
        "read": read,
        "error": project.error(),
        "title": project.title(),
        "crs": project.crs().authid(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "tree": tree_of(project.layerTreeRoot()),
        "layers": {},
        "styles": {style.name: styled(style, folder, pixel_m) for style in styles},
    }
    for key, layer in project.mapLayers().items():
        report["layers"][key] = {
            "name": layer.name(),
            "valid": layer.isValid(),
            "crs": layer.crs().authid(),
            "renderer": layer.renderer().type() if layer.isValid() else "",
            "source": layer.publicSource(),
            "errors": render([layer], extent, project.crs(), width, folder / f"{key}.png"),
        }
    shown = project.layerTreeRoot().checkedLayers()
    report["shown"] = [layer.id() for layer in project.layerTreeRoot().layerOrder() if layer in shown]
    report["errors"] = render(
        [project.mapLayer(key) for key in report["shown"]],
        extent,
        project.crs(),
        width,
        folder / "project.png",
    )
    (layout,) = project.layoutManager().printLayouts()
    report["page"] = {item.id(): box_of(item) for item in layout.items() if hasattr(item, "id") and item.id()}
    settings = QgsLayoutExporter.ImageExportSettings()
    settings.dpi = PAGE_DPI
    report["exported"] = QgsLayoutExporter(layout).exportToImage(str(folder / "page.png"), settings)
    (folder / "report.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), [Path(style) for style in sys.argv[4:]])
    application.exitQgis()
