"""Tables of an inventory: landslides that runs mapped over a whole target site."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely

from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.geo.vectors import read_vectors

# share of a slide's area that must be mapped, and of a polygon's that must be slide, as in the objects of
# scores.json
OVERLAP = 0.5
TRUTH = "landslides.gpkg"
LAST = "inventory"  # the step after the smallest mapping unit
OUTSIDE = "; outside of the land on which the network was trained"
RULE = (
    f"found: at least {OVERLAP:.0%} of a true slide's area is mapped; false: less than {OVERLAP:.0%} of "
    f"a polygon's area is slide"
)


def inventory(spec: ExhibitSpec) -> pd.DataFrame:
    """What each run's inventory of the target site holds, step by step, and how it compares with the true
    slides.

    Rows such as `focal_50:mapped` (with the threshold of probability), `focal_50:without_roads` (after that
    mask and those before it) and `focal_50:inventory` (after the smallest mapping unit): polygons and km2;
    the last one has statistics of area, slides found, false polygons, and recall and precision by area too.
    Mean and sd over seeds. Options: `learnt` (a raw vector file of the target, the land on which the network
    was trained): what touches it is not compared with the true slides.

    Raises:
        HeadscarpError: the exhibit names no target, or a file is missing.
    """
    if spec.target is None:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (inventory) needs a `target`, the site that "
            f"was mapped"
        )
    lines = []
    learnt = spec.target.raw / spec.options["learnt"] if "learnt" in spec.options else None
    rule = f"{RULE}{OUTSIDE if learnt else ''}"
    for protocol in spec.protocols:
        for row in spec.rows:
            folders = [run.maps_of(spec.target.name) for run in spec.runs_of(row, protocol)]
            of_runs = [steps_of(folder, spec.target.raw / TRUTH, learnt) for folder in folders]
            noted = [note for folder in folders for note in read_json(folder / "inventory.json")["notes"]]
            noted = {"threshold": "; ".join(dict.fromkeys(noted))}
            noted |= dict.fromkeys(("slides_found", "false_polygons"), rule)
            for step, numbers in of_runs[0].items() if of_runs else ():
                for metric in numbers:
                    value = mean_of([one[step][metric] for one in of_runs])
                    note = noted.get(metric, "")
                    lines.append(
                        record(
                            spec,
                            f"{row}:{step}",
                            metric,
                            protocol=protocol,
                            data=spec.target.data,
                            note=note,
                            **value,
                        )
                    )
    return frame_of(lines)


def steps_of(folder: Path, truth: Path, learnt: Path | None) -> dict[str, dict[str, float | None]]:
    """Numbers of one run's inventory by step and metric; slides and polygons that touch `learnt` are not
    compared."""
    made = read_json(folder / "inventory.json")
    steps = (
        {"mapped": made["mapped"]}
        | {f"without_{name}": counts for name, counts in made["masks"].items()}
        | {LAST: made[LAST]}
    )
    numbers = {
        step: {key: float(counts[key]) for key in ("polygons", "area_km2")} for step, counts in steps.items()
    }
    numbers["mapped"] = {"threshold": float(made["threshold"])} | numbers["mapped"]
    polygons = read_vectors(folder / "inventory.gpkg")
    numbers[LAST] |= area_statistics(polygons) | against(polygons, truth, learnt)
    return numbers


def area_statistics(polygons: geopandas.GeoDataFrame) -> dict[str, float | None]:
    """Least, median, mean and greatest area of polygons in m2; None without any."""
    areas = polygons.geometry.area.to_numpy()
    statistics = {"min": np.min, "median": np.median, "mean": np.mean, "max": np.max}
    return {f"{name}_area_m2": float(of(areas)) if areas.size else None for name, of in statistics.items()}


def against(polygons: geopandas.GeoDataFrame, truth: Path, learnt: Path | None) -> dict[str, float | None]:
    """True slides found and polygons that are false (counts and shares), and recall and precision by area, of
    those that do not touch `learnt`."""
    slides = shapely.make_valid(read_vectors(truth, polygons.crs).geometry.to_numpy())
    mapped = shapely.make_valid(polygons.geometry.to_numpy())
    if learnt is not None:
        known = shapely.union_all(read_vectors(learnt, polygons.crs).geometry.to_numpy())
        shapely.prepare(known)
        slides, mapped = (areas[~shapely.intersects(known, areas)] for areas in (slides, mapped))
    slide_share, mapped_share = covered_share(slides, mapped), covered_share(mapped, slides)
    found, false = slide_share >= OVERLAP, mapped_share < OVERLAP
    return {
        "slides": float(found.size),
        "slides_found": float(found.sum()),
        "slide_recall": float(found.mean()) if found.size else None,
        "false_polygons": float(false.sum()),
        "commission": float(false.mean()) if false.size else None,
        "area_recall": weighted(slide_share, shapely.area(slides)),
        "area_precision": weighted(mapped_share, shapely.area(mapped)),
    }


def covered_share(areas: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Share of each polygon's area that lies in the union of others."""
    parts = shapely.get_parts(shapely.union_all(by))  # disjoint, so that shares add up
    index, part = shapely.STRtree(parts).query(areas, predicate="intersects")
    covered = np.bincount(
        index, shapely.area(shapely.intersection(areas[index], parts[part])), minlength=len(areas)
    )
    return covered / shapely.area(areas)


def weighted(share: np.ndarray, area: np.ndarray) -> float | None:
    return float(np.average(share, weights=area)) if area.sum() else None
