"""How QGIS draws a run's maps and the ground that they lie on: the elements of a style, which stand in a file
(QML) beside each map, of the same stem, which QGIS loads with the map by itself, and in a site's project.

They follow what QGIS 3.22 writes, which reads and draws them in tests/deploy/test_qgis.py; newer ones, which
take its format, were not at hand.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from headscarp.exhibits.panels.palette import LAND_COVER, SLIDE, SUSCEPTIBILITY
from headscarp.files import atomic_path

QGIS = "3.22.0"  # the long-term release whose format this is; an older one would warn of a newer format
# Cividis at tenths (Nunez, Anderton and Renslow 2018, doi 10.1371/journal.pone.0199239), which the figures
# draw probabilities in: it rises in lightness and looks the same with deuteranopia and protanopia.
CIVIDIS = (
    "#00224E",
    "#083370",
    "#35456C",
    "#4F576C",
    "#666970",
    "#7D7C78",
    "#948E77",
    "#AEA371",
    "#C8B866",
    "#E5CF52",
    "#FEE838",
)
FAINT = 0.1  # probabilities below are transparent, so that the image shows through
DOUBT, DOUBTFUL = "#6A3D9A", 0.3  # colour of uncertainty, and the standard deviation from which it is full
OTHER = "#999999"
BINARY = {0: "not a landslide", 1: "landslide"}
BINARY_COLOURS = {0: "#FFFFFF", 1: SLIDE}
LIGHT = {"azimuth": "315", "angle": "45", "zfactor": "1.2"}  # of the relief, as in the figures
NEAREST = "nearestNeighbour"  # how pixels are read
HALO = "#FFFFFF"  # below each outline, so that it is seen on dark and on bright ground
CERTAINTY = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # classes of a landslide's mean probability
TIP = (  # column of landslides.gpkg, what people read, decimals, unit
    ("area_m2", "Area", 0, "m²"),
    ("length_m", "Length", 0, "m"),
    ("mean_probability", "Mean probability", 2, ""),
    ("max_probability", "Highest probability", 2, ""),
    ("mean_slope_deg", "Mean slope", 1, "°"),
    ("mean_elevation_m", "Mean elevation", 0, "m"),
    ("relief_m", "Relief", 0, "m"),
)


def probability_style() -> Element:
    """Style of a map of landslide probability: cividis from 0 to 1, transparent below `FAINT`, the legend in
    per cent."""
    # Two entries at nearly the same value make a step: between two entries opacity is interpolated like
    # colour.
    faint = [(0.0, CIVIDIS[0], 0), (FAINT - 1e-6, CIVIDIS[1], 0)]
    seen = [(index / 10, colour, 255) for index, colour in enumerate(CIVIDIS) if index > 0]
    return ramp_style([*faint, *seen])


def susceptibility_style() -> Element:
    """Style of a map of susceptibility from 0 to 1, blue to red, the legend in per cent."""
    steps = len(SUSCEPTIBILITY) - 1
    return ramp_style([(index / steps, colour, 255) for index, colour in enumerate(SUSCEPTIBILITY)])


def uncertainty_style() -> Element:
    """Style of the standard deviation of probabilities between trainings: the more they differ, the less the
    ground shows through."""
    return ramp_style([(DOUBTFUL * step / 4, DOUBT, round(255 * step / 4)) for step in range(5)])


def ramp_style(entries: Sequence[tuple[float, str, int]]) -> Element:
    """Style of a raster of shares 0..1 by entries of rising value, colour and opacity (0..255), which are
    interpolated; the legend in per cent."""
    stops = [
        (
            value,
            f"{100 * value:.0f} %" if alpha or value == 0 else f"below {100 * FAINT:.0f} %",
            colour,
            alpha,
        )
        for value, colour, alpha in entries
    ]
    return stops_style(stops)


def stops_style(
    stops: Sequence[tuple[float, str, str, int]], kind: str = "INTERPOLATED", decimals: int = 2
) -> Element:
    """Style of the first band of a raster of values from 0 on, by stops of rising value, text of the legend,
    colour and opacity (0..255): one colour up to each (DISCRETE), or between them (INTERPOLATED)."""
    most = f"{stops[-1][0]:.7g}"
    root, pipe = raster_document()
    renderer = raster_renderer(
        pipe, "singlebandpseudocolor", band="1", classificationMin="0", classificationMax=most
    )
    SubElement(SubElement(renderer, "minMaxOrigin"), "limits").text = "None"
    shader = SubElement(
        SubElement(renderer, "rastershader"),
        "colorrampshader",
        colorRampType=kind,
        classificationMode="1",
        clip="0",
        minimumValue="0",
        maximumValue=most,
        labelPrecision=str(decimals),
    )
    for value, label, colour, alpha in stops:
        SubElement(shader, "item", value=f"{value:.7g}", label=label, color=colour.lower(), alpha=str(alpha))
    finish_raster(pipe)
    return root


def class_style(names: Mapping[int, str] = BINARY) -> Element:
    """Style of a map of classes {code: name}: one colour a class, the ground of a map of landslides alone
    (`BINARY`) transparent."""
    root, pipe = raster_document()
    palette = SubElement(raster_renderer(pipe, "paletted", band="1"), "colorPalette")
    for code, colour in class_colours(names).items():
        alpha = 0 if len(names) == 2 and code == 0 else 255
        SubElement(
            palette,
            "paletteEntry",
            value=str(code),
            label=names[code],
            color=colour.lower(),
            alpha=str(alpha),
        )
    finish_raster(pipe)
    return root


def class_colours(names: Mapping[int, str]) -> dict[int, str]:
    """Colour of each class of {code: name}, in the order of codes: those of `LAND_COVER`, then grey, unless
    there are only two."""
    colours = BINARY_COLOURS if len(names) == 2 else LAND_COVER
    return {code: colours.get(code, OTHER) for code in sorted(names)}


def image_style(limits: Sequence[Sequence[float]]) -> Element:
    """Style of an image of three bands, each stretched between its `limits` (2, 3)."""
    root, pipe = raster_document()
    names = ("red", "green", "blue")
    bands = {f"{name}Band": str(number) for number, name in enumerate(names, start=1)}
    renderer = raster_renderer(pipe, "multibandcolor", **bands)
    for name, low, high in zip(names, *limits, strict=True):
        stretched = SubElement(renderer, f"{name}ContrastEnhancement")
        SubElement(stretched, "minValue").text = f"{low:.9g}"
        SubElement(stretched, "maxValue").text = f"{high:.9g}"
        SubElement(stretched, "algorithm").text = "StretchToMinimumMaximum"
    finish_raster(pipe)
    return root


def relief_style() -> Element:
    """Style of an elevation model: grey relief, lit from the north-west at 45 degrees."""
    # Without it each pixel of the model would be a terrace on a map of finer pixels.
    root, pipe = raster_document("bilinear")
    raster_renderer(pipe, "hillshade", band="1", multidirection="0", **LIGHT)
    finish_raster(pipe)
    SubElement(pipe, "resamplingStage").text = "provider"
    return root


def landslide_style() -> Element:
    """Style of a run's landslides.gpkg: outlines over a white halo, coloured by mean probability, without
    labels; columns as map tips."""
    root = document(readOnly="0", labelsEnabled="0", symbologyReferenceScale="-1")
    renderer = SubElement(
        root,
        "renderer-v2",
        type="graduatedSymbol",
        attr="mean_probability",
        graduatedMethod="GraduatedColor",
        symbollevels="0",
        enableorderby="0",
        forceraster="0",
        referencescale="-1",
    )
    ranges, symbols = SubElement(renderer, "ranges"), SubElement(renderer, "symbols")
    for index, (low, high) in enumerate(pairwise(CERTAINTY)):
        SubElement(
            ranges,
            "range",
            symbol=str(index),
            lower=f"{low:.6f}",
            upper=f"{high:.6f}",
            render="true",
            label=f"{100 * low:.0f}–{100 * high:.0f} %",
        )
        symbol = SubElement(
            symbols, "symbol", type="fill", name=str(index), alpha="1", clip_to_extent="1", force_rhr="0"
        )
        for colour, width in ((HALO, 0.9), (CIVIDIS[2 * index + 1], 0.46)):
            line = SubElement(
                symbol, "layer", **{"class": "SimpleLine"}, enabled="1", locked="0", **{"pass": "0"}
            )
            options(
                line,
                {
                    "line_color": rgba(colour),
                    "line_width": str(width),
                    "line_width_unit": "MM",
                    "line_style": "solid",
                    "joinstyle": "round",
                    "capstyle": "round",
                },
            )
    SubElement(root, "previewExpression").text = "'Landslide ' || \"id\""
    SubElement(root, "mapTip", enabled="1").text = tip()
    SubElement(root, "layerGeometryType").text = "2"
    return root


def tip() -> str:
    """HTML with QGIS expressions that shows a landslide's columns; lines of empty ones read 'unknown'."""
    lines = [
        f"{label}: [% coalesce(format_number(\"{name}\", {digits}) || ' {unit}', 'unknown') %]"
        for name, label, digits, unit in TIP
    ]
    return '<b>Landslide [% "id" %]</b>, [% coalesce("date", \'date unknown\') %]<br/>' + "<br/>".join(lines)


def document(**attributes: str) -> Element:
    """The root of a style file."""
    return Element(
        "qgis",
        version=QGIS,
        styleCategories="AllStyleCategories",
        hasScaleBasedVisibilityFlag="0",
        **attributes,
    )


def raster_document(resampling: str = NEAREST) -> tuple[Element, Element]:
    """The root of a raster's style file and its `pipe`, the first step of which, how pixels are read, is
    there."""
    root = document()
    pipe = SubElement(root, "pipe")
    provider = SubElement(pipe, "provider")
    SubElement(
        provider,
        "resampling",
        enabled="false" if resampling == NEAREST else "true",
        zoomedInResamplingMethod=resampling,
        zoomedOutResamplingMethod=resampling,
        maxOversampling="2",
    )
    return root, pipe


def raster_renderer(pipe: Element, kind: str, **settings: str) -> Element:
    """How a raster is drawn, as a child of its `pipe`."""
    renderer = SubElement(
        pipe, "rasterrenderer", type=kind, opacity="1", alphaBand="-1", nodataColor="", **settings
    )
    SubElement(renderer, "rasterTransparency")
    return renderer


def finish_raster(pipe: Element) -> None:
    """The steps after the colours, all without effect."""
    SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    SubElement(pipe, "rasterresampler", maxOversampling="2")


def options(parent: Element, values: Mapping[str, str]) -> None:
    """QGIS's map of properties as a child of `parent`."""
    listed = SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        SubElement(listed, "Option", type="QString", name=name, value=value)


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0..255, of #RRGGBB."""
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def rgba(colour: str) -> str:
    """Red, green, blue and full opacity as QGIS writes a colour of a symbol."""
    return ",".join(str(part) for part in (*rgb(colour), 255))


def write_style(path: str | Path, root: Element) -> None:
    """Write a style file, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text_of(root), encoding="utf-8")


def text_of(root: Element) -> str:
    """A style or a project as QGIS reads it from a file."""
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}\n"
