"""The page of a QGIS project to print: A4, landscape, with the map of all layers that are on, title, legend,
scale bar, north arrow and credit line."""

import base64
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from headscarp.delivery.styles import options, rgba

# kinds of items, as the file numbers them
PAGE, MAP, PICTURE, LABEL, LEGEND, SCALE_BAR = "65638", "65639", "65640", "65641", "65642", "65646"
# millimetres
WIDTH, HEIGHT, MARGIN = 297, 210, 10
MAP_TOP, MAP_WIDTH, MAP_HEIGHT = 27, 205, 163  # the frame that the map is fitted into
SIDE = 220  # left edge of legend, arrow and scale bar
SCALE_BAR_PART = 0.12  # of the map's width: each of the two segments of the scale bar, at most
STEPS = (5, 2, 1)  # of which such a segment is, times a power of ten
KILOMETRE = 1000
SVG = "0"  # of a picture
WHITE = "#FFFFFF"
FONT = "Sans Serif"
MIDDLE, TOP, LEFT = "128", "32", "1"  # how text stands, as the file numbers it
SIZES = {"title": 11, "group": 9, "subgroup": 9, "symbol": 8, "symbolLabel": 8}  # points of a legend's texts
ARROW = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 30" width="20" height="30">'
    '<path d="M10 9L17 29L10 24.5L3 29Z" fill="#000"/>'
    '<path d="M7 8V0.5L13 7.5V0" fill="none" stroke="#000" stroke-width="1.6"/></svg>'
)


@dataclass(frozen=True)
class Texts:
    """What the page says: its title, what stands below, and whose data it shows."""

    title: str
    subtitle: str
    credit: str


@dataclass(frozen=True)
class Legend:
    """A layer of the legend, as an entry of a list of layers, and which entries of its own are shown (None:
    all)."""

    layer: Element
    entries: Sequence[int] | None


def add_layout(
    project: Element, bounds: tuple[float, float, float, float], texts: Texts, legend: Sequence[Legend]
) -> None:
    """Add the page to a project; `bounds` (west, south, east, north) in metres are the map's."""
    layout = SubElement(
        SubElement(project, "Layouts"),
        "Layout",
        name="Map",
        units="mm",
        printResolution="300",
        worldFileMap="",
    )
    pages = SubElement(layout, "PageCollection")
    sheet = item(pages, PAGE, "page", (0, 0, WIDTH, HEIGHT), background=True)
    filled = SubElement(sheet, "symbol", type="fill", name="", alpha="1")
    options(
        SubElement(filled, "layer", {"class": "SimpleFill"}), {"color": rgba(WHITE), "outline_style": "no"}
    )
    west, south, east, north = bounds
    scale = min(MAP_WIDTH / (east - west), MAP_HEIGHT / (north - south))  # mm of paper a metre of ground
    frame = (MARGIN, MAP_TOP, scale * (east - west), scale * (north - south))
    shown = item(
        layout,
        MAP,
        "map",
        frame,
        background=True,
        frame=True,
        keepLayerSet="false",
        followPreset="false",
        mapFlags="0",
    )
    SubElement(
        shown, "Extent", xmin=f"{west:.10g}", ymin=f"{south:.10g}", xmax=f"{east:.10g}", ymax=f"{north:.10g}"
    )
    SubElement(shown, "LayerSet")
    full = WIDTH - 2 * MARGIN
    label(layout, "title", texts.title, (MARGIN, 7, full, 9), 16, MIDDLE)
    label(layout, "subtitle", texts.subtitle, (MARGIN, 16, full, 9), 9, MIDDLE)
    label(layout, "credit", texts.credit, (MARGIN, MAP_TOP + MAP_HEIGHT + 2, full, 14), 7, TOP)
    add_legend(layout, legend)
    picture = base64.b64encode(ARROW.encode()).decode()
    item(
        layout,
        PICTURE,
        "north arrow",
        (SIDE, 150, 12, 18),
        file=f"base64:{picture}",
        mode=SVG,
        resizeMode="0",
        anchorPoint="4",
        northMode="0",
        mapUuid=identifier("map"),
        pictureWidth="12",
        pictureHeight="18",
    )
    add_scale_bar(layout, east - west, scale)


def add_legend(layout: Element, legend: Sequence[Legend]) -> None:
    """The legend of some layers."""
    drawn = item(
        layout,
        LEGEND,
        "legend",
        (SIDE, MAP_TOP, WIDTH - MARGIN - SIDE, 100),
        title="",
        map_uuid=identifier("map"),
        resizeToContents="1",
        columnCount="1",
        symbolWidth="7",
        symbolHeight="4",
        boxSpace="0",
        symbolAlignment=LEFT,
        titleAlignment=LEFT,
        fontColor="#000000",
        lineSpacing="1",
        wmsLegendWidth="50",
        wmsLegendHeight="25",
        wrapChar="",
    )
    styles = SubElement(drawn, "styles")
    for name, size in SIZES.items():
        style = SubElement(
            styles, "style", name=name, alignment=LEFT, indent="0", marginTop="2.5", marginLeft="2"
        )
        SubElement(style, "styleFont", description=font(size), style="")
    tree = SubElement(drawn, "layer-tree-group")
    for one in legend:
        tree.append(one.layer)
        if one.entries is not None:
            shown = {"legend/node-order": ",".join(map(str, one.entries))}
            options(SubElement(one.layer, "customproperties"), shown)


def add_scale_bar(layout: Element, width: float, scale: float) -> None:
    """A bar of two segments of a round length for a map of some width in metres; `scale` is mm of paper a
    metre of ground."""
    power = 10 ** math.floor(math.log10(SCALE_BAR_PART * width))
    segment = next(step * power for step in STEPS if step * power <= SCALE_BAR_PART * width)
    unit, name, symbol = (KILOMETRE, "km", "km") if segment >= KILOMETRE else (1, "meters", "m")
    bar = item(
        layout,
        SCALE_BAR,
        "scale bar",
        (SIDE, 174, WIDTH - MARGIN - SIDE, 13),
        style="Single Box",
        mapUuid=identifier("map"),
        unitType=name,
        unitLabel=symbol,
        numUnitsPerSegment=f"{segment / unit:g}",
        numMapUnitsPerScaleBarUnit="1",
        numSegments="2",
        numSegmentsLeft="0",
        segmentSizeMode="0",
        segmentMillimeters=f"{segment * scale:.6g}",
        height="2.5",
        boxContentSpace="1",
        labelBarSpace="2",
        outlineWidth="0.3",
    )
    SubElement(
        bar,
        "text-style",
        fontFamily=FONT,
        fontSize="8",
        fontSizeUnit="Point",
        textColor="0,0,0,255",
        textOpacity="1",
    )
    for name, grey in (("fillColor", "0"), ("fillColor2", "255"), ("strokeColor", "0")):
        SubElement(bar, name, red=grey, green=grey, blue=grey, alpha="255")


def label(
    layout: Element, name: str, text: str, box: tuple[float, float, float, float], size: float, vertical: str
) -> None:
    """Text in a box, wrapped."""
    drawn = item(layout, LABEL, name, box, labelText=text, htmlState="0", halign=LEFT, valign=vertical)
    drawn.set("marginX", "0")
    drawn.set("marginY", "0")
    SubElement(drawn, "LabelFont", description=font(size), style="")
    SubElement(drawn, "FontColor", red="0", green="0", blue="0", alpha="255")


def item(
    parent: Element,
    kind: str,
    name: str,
    box: tuple[float, float, float, float],
    background: bool = False,
    frame: bool = False,
    **attributes: str,
) -> Element:
    """An item of the page, `box` (left, top, width, height) in mm."""
    left, top, width, height = box
    common = {
        "type": kind,
        "uuid": identifier(name),
        "templateUuid": identifier(name),
        "id": name,
        "position": f"{left:g},{top:g},mm",
        "positionOnPage": f"{left:g},{top:g},mm",
        "size": f"{width:.6g},{height:.6g},mm",
        "referencePoint": "0",
        "visibility": "1",
        "opacity": "1",
        "background": str(background).lower(),
        "frame": str(frame).lower(),
        "outlineWidthM": "0.3,mm",
    }
    return SubElement(parent, "LayoutItem", common | attributes)


def identifier(name: str) -> str:
    """The name by which items refer to each other, the same in every project."""
    return f"{{{uuid.uuid5(uuid.NAMESPACE_URL, f'headscarp/layout/{name}')}}}"


def font(size: float) -> str:
    """A font as Qt describes it in text."""
    return f"{FONT},{size:g},-1,5,50,0,0,0,0,0"
