"""Checks of what the text of a paper states beside its tables."""

from collections.abc import Iterator, Mapping, Sequence

from headscarp.scoring.audit.findings import CONSISTENT, INCONSISTENT, Finding, Recomputed
from headscarp.scoring.audit.published import Published, rows_of, title_of
from headscarp.vocabulary import require_known

STATED = "differences of printed rows; published is what the text states of them"
SCENE_TOLERANCE = 0.01  # how far, as a part of it, "about 135 km2" may lie from the area of all pixels


def stated_gains(
    published: Published, table: str, text: str, gains: Mapping[str, Sequence[str]]
) -> Iterator[Finding | Recomputed]:
    """Gains that the text states, beside the differences of rows of a table, in points of percent.

    `text` names where the stated gains stand, and `gains` ({row there: [row of the table, row that it is
    compared with]}) what they are of.
    """
    values, half_units = rows_of(published, table), half_units_of(published)
    for stated, (row, reference) in gains.items():
        for metric, gain in rows_of(published, text)[stated].items():
            for name in (row, reference):
                require_known(metric, values[name], f"{text}, {stated}: {title_of(table)}, {name}: metric")
            value, claimed = 100 * (values[row][metric] - values[reference][metric]), 100 * gain
            rounding = half_units[table, row, metric] + half_units[table, reference, metric]
            off = abs(value - claimed) > rounding + half_units[text, stated, metric]
            note = f"printed {metric} of {row} minus that of {reference}; the text states {claimed:g}"
            if off:
                note += slip(claimed, value)
            name = f"{metric}_gain_stated"
            yield Recomputed(f"{table}:{stated}", name, value, claimed, note=note if off else STATED)
            verdict = INCONSISTENT if off else CONSISTENT
            bounds = value - rounding, value + rounding
            yield Finding(table, stated, f"{name}_points", value, verdict, note, *bounds, claimed)


def half_units_of(published: Published) -> dict[tuple[str, str, str], float]:
    """{(table, row, metric): half a unit of the last place that is printed}, in points of percent."""
    return {
        (table, one["row"], one["metric"]): (0.5 if one["unit"] == "percent" else 50.0)
        * 10.0 ** -len(str(one["printed"]).partition(".")[2])
        for table, records in published.items()
        for one in records
    }


def slip(stated: float, value: float) -> str:
    """What a wrong number may come of: a decimal place lost, or digits that changed places."""
    if any(abs(stated * factor - value) < 0.005 for factor in (0.1, 10)):
        return ", one decimal place off"
    same = sorted(f"{stated:.2f}") == sorted(f"{value:.2f}")
    return ", the same digits in another order" if same else ""


def scene_area(published: Published, table: str) -> Iterator[Finding | Recomputed]:
    """The area that the text gives a site (scene_area_km2) beside that of its image (rows, cols,
    resolution_m) and beside its study area (study_area_km2)."""
    for row, numbers in rows_of(published, table).items():
        scene, study = numbers["scene_area_km2"], numbers["study_area_km2"]
        pixels = numbers["rows"] * numbers["cols"] * numbers["resolution_m"] ** 2 / 1e6
        note = (
            f"{numbers['rows']:g} x {numbers['cols']:g} pixels of {numbers['resolution_m']:g} m, beside the "
            f"area of the site in the text"
        )
        yield Recomputed(f"{table}:{row}", "scene_area_km2", pixels, scene, note=note)
        verdict = CONSISTENT if abs(scene / pixels - 1) <= SCENE_TOLERANCE else INCONSISTENT
        yield Finding(table, row, "scene_area_km2", pixels, verdict, note, expected=scene)
        part = study / pixels
        text = (
            f"part of the image ({pixels:.2f} km2) that the study area of {title_of(table)} "
            f"({study:g} km2) covers: the text ({scene:g} km2) and the table call different ground the site"
        )
        verdict = CONSISTENT if abs(scene / study - 1) <= SCENE_TOLERANCE else INCONSISTENT
        yield Recomputed(f"{table}:{row}", "study_area_part_of_scene", part, note=text)
        yield Finding(table, row, "study_area_part_of_scene", part, verdict, text, expected=1.0)
