"""Tables of sites: size and slides, layers and samples, dates."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.labels import place_label
from headscarp.exhibits.layers import site_grid, values_of
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json
from headscarp.site.layer_names import IMAGE_UNITS


def site(spec: ExhibitSpec) -> pd.DataFrame:
    """Event, image, size, slides and areas of each site, counted on its layers (gao2021, Table I and section
    II-A); row = site."""
    lines = []
    for one in spec.sites:
        lines += site_texts(spec, one)
        grid, label, instances = site_grid(one), values_of(one, "label"), values_of(one, "instances")
        cell_km2 = abs(grid.transform.a * grid.transform.e) / 1e6
        measured = {
            "rows": grid.height,
            "cols": grid.width,
            "resolution_m": grid.resolution,
            "landslides": np.unique(instances[instances > 0]).size,
            "landslide_area_km2": np.count_nonzero(label == LANDSLIDE) * cell_km2,
            "study_area_km2": np.count_nonzero(label != UNMAPPED) * cell_km2,
            "scene_area_km2": label.size * cell_km2,
        }
        lines += [
            record(spec, one.name, metric, float(value), data=one.data) for metric, value in measured.items()
        ]
    return frame_of(lines)


def site_texts(spec: ExhibitSpec, site: SiteFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of what is said of a site in words: event, centre, image, its dates and bands."""
    manifest = read_json(site.folder / "layers" / "layers.json")
    bands = [layer["name"] for layer in manifest["layers"] if layer["units"] in IMAGE_UNITS]
    texts = {
        "event_date": site.event,
        "centre": "" if site.placeless else place_label(*site_grid(site).centre_degrees),
        "image": site.image,
        "image_date": ", ".join(map(str, manifest["dates"])),
        "bands": ", ".join(dict.fromkeys(bands)),
    }
    for metric, text in texts.items():
        yield text_record(
            spec, site.name, metric, text or "–", spec.published_text(site.name, metric), data=site.data
        )


def data_sources(spec: ExhibitSpec) -> pd.DataFrame:
    """Layers and training patches of each site (xia2021, Tables 1, 2 and 5).

    Rows such as `mangkam_feb:slope`: resolution of the grid, effective resolution (that of the source, where
    it is another), size and date; row `mangkam_feb`: training patches under each protocol, where the site has
    samples, and those of each scene of a collage.
    """
    lines: list[dict[str, Any]] = []
    for site in spec.sites:
        lines += patch_records(spec, site)
    for site in spec.sites:
        if not (site.folder / "layers" / "layers.json").exists():  # a collage, whose scenes have them
            continue
        manifest = read_json(site.folder / "layers" / "layers.json")
        grid, date = manifest["grid"], ", ".join(map(str, manifest["dates"]))
        for layer in manifest["layers"]:
            if layer["name"] != "instances":
                lines += layer_records(spec, site, layer, grid, layer.get("date", date))
    return frame_of(lines)


def patch_records(spec: ExhibitSpec, site: SiteFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of the training patches of a site, and of each scene of a collage: `training_patches`
    under published, `training_patches_blocked` under blocked."""
    for protocol, folder in site.samples.items():
        if (folder / "samples.json").exists():
            drawn = read_json(folder / "samples.json")
            patches = {site.name: drawn["counts"]["train"]["windows"]}
            patches |= {scene["name"]: scene["windows"]["train"] for scene in drawn.get("scenes", [])}
            for row, count in patches.items():
                metric = "training_patches" + ("" if protocol == "published" else f"_{protocol}")
                yield record(spec, row, metric, float(count), data=site.data)


def layer_records(
    spec: ExhibitSpec, site: SiteFiles, layer: Mapping[str, Any], grid: Mapping[str, Any], date: str
) -> Iterator[dict[str, Any]]:
    """Tidy records of one layer (of one date, where it has dates); a source's resolution that its manifest
    does not tell is the grid's."""
    row = f"{site.name}:{layer['name']}" + (f":{layer['date']}" if "date" in layer else "")
    nominal = layer.get("resolution_m", abs(grid["transform"][0]))
    measured = {
        "resolution_m": nominal,
        "effective_resolution_m": layer.get("effective_resolution_m", nominal),
        "rows": grid["height"],
        "cols": grid["width"],
    }
    yield text_record(spec, row, "date", date, spec.published_text(row, "date"), data=site.data)
    for metric, value in measured.items():
        yield record(spec, row, metric, float(value), data=site.data)


def date_table(spec: ExhibitSpec) -> pd.DataFrame:
    """Dates of the cube of each site; rows such as `karakoram:2008-09-14`.

    Metrics: share of the grid with a value of any dated layer (`clear_share`), days since the date before,
    and the layers that are missing. Row `karakoram`: share of the grid that is clear at no date
    (`never_clear_share`).

    Raises:
        HeadscarpError: a site has one date only.
    """
    return frame_of(line for site in spec.sites for line in date_records(spec, site))


def date_records(spec: ExhibitSpec, site: SiteFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of the dates of one site."""
    path = site.folder / "cube" / "cube.json"
    header = read_json(path)
    if "series" not in header:
        raise HeadscarpError(
            f"{path} tells no series of dates; name sites with several dates in exhibit '{spec.name}' "
            f"(scenes, not what joins them)"
        )
    before = None
    for one in header["series"]:
        row, date = f"{site.name}:{one['date']}", np.datetime64(one["date"])
        yield record(spec, row, "clear_share", one["clear_share"], data=site.data)
        days = None if before is None else float((date - before).astype(int))
        yield record(spec, row, "days_since_last", days, data=site.data)
        yield text_record(spec, row, "missing_layers", ", ".join(one["missing"]) or "none", data=site.data)
        before = date
    yield record(spec, site.name, "never_clear_share", header["never_clear_share"], data=site.data)
