"""Charts of sites mapped in classes at very high resolution: slope of classes, fine-tuning at a new site,
shares of sampled classes."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.inventory_maps import Scene
from headscarp.exhibits.maps import hillshade, outline, place, show
from headscarp.exhibits.rasters import values_of
from headscarp.exhibits.runs import mean_of
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.exhibits.vhr_maps import (
    BUILDING,
    ROAD,
    Sheet,
    densest_window,
    draw_scale,
    factor_picture,
    legend_at_foot,
    names_of_classes,
    scale_of,
    scene_of,
    scores_part,
    slide_windows,
)
from headscarp.files import read_json
from headscarp.vocabulary import require_known

BARE = 0

# --- Fig. 16 of xia2021

# degrees: bins for ranks, bins for densities and overlap, greatest slope
FINE, COARSE, STEEPEST = 0.01, 1.0, 90.0
COMPARED = (BUILDING, ROAD, BARE)
SLIDE_EDGE, BUILT_EDGE = "#D55E00", "#56B4E9"
QUANTILES = (5, 25, 50, 75, 95)
CHART, BESIDE = 2.3, 2.5  # inches: height of the chart with its axis, width of what stands beside it


def slope_separation(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Close-ups of a landslide and of built-up ground (image, hill shade, slope, aspect) above the
    distributions of slope of labelled landslide, building, road and bare-land pixels.

    The numbers behind it are quantiles of the slope of each class in degrees and, of landslide against each
    other class, the overlap of the two densities (sum of the lesser share in bins of 1 degree: 0 apart, 1
    alike) and the AUC (probability that a landslide pixel is the steeper of two, ties half). Options:
    `composite` (three layers for red, green, blue; default red, green, blue).

    Raises:
        HeadscarpError: no landslide pixel, or no pixel of another class to compare with, has a slope.
    """
    site = spec.only_site()
    scene, names = scene_of(spec, site), names_of_classes(site)
    counts = slope_counts(values_of(site, "slope"), scene.label)
    if not counts[LANDSLIDE].sum() or not any(counts[code].sum() for code in COMPARED):
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): site '{site.name}' has no labelled landslide with a "
            f"slope, or no building, road or bare "
            "land to compare it with"
        )
    counts = {code: of_class for code, of_class in counts.items() if of_class.sum()}
    lines = list(slope_records(spec, site, names, counts))
    windows = close_up_windows(scene)
    sheet = Sheet(len(windows), 4, 1, heading=0.3, footer=CHART + 1.1)
    figure = sheet.figure()
    draw_close_ups(figure, sheet, scene, windows)
    below = sheet.top(0, len(windows)) + 0.55
    axes = place(figure, (0.55, below, style.WIDTH - 0.55 - BESIDE, CHART - 0.45))
    draw_densities(axes, names, counts)
    axes.set_title(f"{style.panel_letter(4)} Slope of labelled pixels", pad=4)
    corner = ((style.WIDTH - BESIDE + 0.2) / style.WIDTH, 1 - (below + 1.0) / figure.get_figheight())
    figure.text(
        *corner,
        comparison_text(names, lines),
        family="DejaVu Sans Mono",
        fontsize=7,
        va="top",
        linespacing=1.5,
    )
    handles = [
        Line2D([], [], color=SLIDE_EDGE, lw=1.4, label="Landslide (outline)"),
        Line2D([], [], color=BUILT_EDGE, lw=1.4, label="Building or road (outline)"),
    ]
    legend_at_foot(figure, handles, 2)
    style.sign(
        figure,
        spec,
        "AUC: probability that a landslide pixel is the steeper of two. Overlap of the densities: 0 "
        "apart, 1 alike.",
    )
    return figure, frame_of(lines)


def comparison_text(names: Mapping[int, str], lines: Sequence[Mapping[str, Any]]) -> str:
    """AUC and overlap of landslide against each class as a small table."""
    values = {(line["row"], line["metric"]): line["value"] for line in lines}
    rows = [f"{'Landslide against':18}{'AUC':>6}{'overlap':>9}"]
    for code in COMPARED:
        row = against(names, code)
        if (row, "auc") in values:
            rows.append(f"{names[code]:18}{values[row, 'auc']:6.3f}{values[row, 'overlap']:9.3f}")
    return "\n".join(rows)


def against(names: Mapping[int, str], code: int) -> str:
    """The row of a comparison of landslide with a class."""
    return f"{names[LANDSLIDE]} against {names[code]}"


def slope_counts(slope: np.ndarray, label: np.ndarray) -> dict[int, np.ndarray]:
    """{class: pixels in bins of `FINE` degrees} of slope (row, col) in degrees, for landslide and the classes
    compared with it."""
    bins = round(STEEPEST / FINE)
    counts = {}
    for code in (LANDSLIDE, *COMPARED):
        values = slope[(label == code) & np.isfinite(slope)]
        counts[code] = np.bincount(np.clip(values / FINE, 0, bins - 1).astype(int), minlength=bins)
    return counts


def auc_of(higher: np.ndarray, lower: np.ndarray) -> float:
    """Probability that a value of the first of two histograms (bin,) exceeds one of the second, ties half."""
    below = np.cumsum(lower) - lower
    return float((higher * (below + lower / 2)).sum() / (higher.sum() * lower.sum()))


def density(counts: np.ndarray) -> np.ndarray:
    """Shares of pixels in bins of `COARSE` degrees."""
    return counts.reshape(round(STEEPEST / COARSE), -1).sum(axis=1) / counts.sum()


def quantile_of(counts: np.ndarray, percent: float) -> float:
    """A quantile of a histogram in bins of `FINE` degrees, to the middle of a bin."""
    return float((np.searchsorted(np.cumsum(counts), percent / 100 * counts.sum()) + 0.5) * FINE)


def slope_records(
    spec: ExhibitSpec, site: SiteFiles, names: Mapping[int, str], counts: Mapping[int, np.ndarray]
) -> Iterator[dict[str, Any]]:
    for code, of_class in counts.items():
        rest = {"data": site.data, "note": "unit degree"}
        for percent in QUANTILES:
            yield record(spec, names[code], f"slope_p{percent:02d}", quantile_of(of_class, percent), **rest)
        yield record(spec, names[code], "pixels", float(of_class.sum()), data=site.data)
    for code in COMPARED:
        if code in counts:
            row = against(names, code)
            yield record(spec, row, "auc", auc_of(counts[LANDSLIDE], counts[code]), data=site.data)
            overlap = float(np.minimum(density(counts[LANDSLIDE]), density(counts[code])).sum())
            yield record(spec, row, "overlap", overlap, data=site.data)


def close_up_windows(scene: Scene) -> dict[str, tuple[int, int, int, int]]:
    """{what people read: window}: around the largest slide, and of the same size where most is built up and
    nothing has slid."""
    slides = scene.label == LANDSLIDE
    around = slide_windows(slides, 1)[0]
    built = densest_window(np.isin(scene.label, (BUILDING, ROAD)), slides, around[2])
    return {"Landslide": around} | ({"Built-up ground": built} if built else {})


def draw_close_ups(
    figure: Figure, sheet: Sheet, scene: Scene, windows: Mapping[str, tuple[int, int, int, int]]
) -> None:
    """A row of panels for each window: image, hill shade, slope and aspect, with outlines of slides and
    built-up ground."""
    factors = {
        layer: [factor_picture(scene.site, layer, scene.view(window)) for window in windows.values()]
        for layer in ("slope", "aspect")
    }
    scales = {layer: scale_of(scene.site, layer, pictures) for layer, pictures in factors.items()}
    for row, (name, window) in enumerate(windows.items()):
        view = scene.view(window)
        panels = [sheet.axes(figure, 0, row, column) for column in range(4)]
        show(panels[0], scene.image(view), view)
        show(panels[1], hillshade(view, scene.site), view, cmap="gray", vmin=0, vmax=1)
        for axes, layer in zip(panels[2:], factors, strict=True):
            show(axes, scales[layer].to_rgba(factors[layer][row])[..., :3], view)
        label = view.thin(scene.label)
        for axes in panels:
            outline(axes, label == LANDSLIDE, view, SLIDE_EDGE, 1.0)
            outline(axes, np.isin(label, (BUILDING, ROAD)), view, BUILT_EDGE, 0.8)
        style.scale_bar(panels[0], view.width_km)
        sheet.write_caption(figure, 0, row, name)
        if row == 0:
            for column, text in enumerate(("Image", "Hill shade", "Slope", "Aspect")):
                panels[column].set_title(f"{style.panel_letter(column)} {text}", fontsize=7.5, pad=3)
    for column, layer in enumerate(factors, start=2):
        bar = place(figure, (sheet.left(column) + 0.05, sheet.top(0, len(windows)), sheet.side - 0.1, 0.08))
        draw_scale(figure, bar, scales[layer], scene.site, layer)


LINES = {LANDSLIDE: "-", BUILDING: "--", ROAD: "-.", BARE: ":"}
# darker: a line needs more contrast to white than an area
INKS = style.LAND_COVER | {BARE: "#A08A3C", BUILDING: "#C45A9A"}


def draw_densities(axes: Axes, names: Mapping[int, str], counts: Mapping[int, np.ndarray]) -> None:
    """Share of the pixels of each class in bins of one degree."""
    edges = np.arange(round(STEEPEST / COARSE) + 1) * COARSE
    for code, of_class in counts.items():
        shares = density(of_class)
        if code == LANDSLIDE:
            axes.stairs(shares, edges, fill=True, color=INKS[code], alpha=0.2)
        label = f"{names[code].capitalize()}, median {quantile_of(of_class, 50):.1f}°"
        axes.stairs(shares, edges, color=INKS[code], lw=1.4, ls=LINES[code], label=label)
    steepest = max(quantile_of(of_class, 99.5) for of_class in counts.values())
    axes.set(
        xlim=(0, min(STEEPEST, steepest + 3)),
        ylim=(0, None),
        xlabel="Slope (°)",
        ylabel="Share of pixels per degree",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.04))


# --- fine-tuning: a curve that xia2021 only suggests

TUNED = {"landslide_f1": "Landslide F1", "oa": "Overall accuracy"}


def fine_tuning_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Landslide F1 and overall accuracy against the share of the new site that a network was fine-tuned on:
    mean and sd over seeds, each seed a dot, a line for each protocol.

    Options: `shares` ({row: percent of the new site}). Where the exhibit has a target, a row of 0 percent was
    never trained there: its scores are those of its run applied to the target. The numbers behind it are the
    means, with published values where there are any.

    Raises:
        HeadscarpError: `shares` is missing, names an unknown row or leaves one out, or a share is no
        percentage.
    """
    shares = shares_of(spec)
    values = {
        (protocol, row): [tuned_scores(spec, run, shares[row]) for run in spec.runs_of(row, protocol)]
        for protocol in spec.protocols
        for row in shares
    }
    figure = style.new_figure(3.3)
    panels = figure.subplots(1, len(TUNED), squeeze=False)[0]
    ticks = sorted(set(shares.values()))
    lines = []
    for index, protocol in enumerate(spec.protocols):
        for axes, metric in zip(panels, TUNED, strict=True):
            found = {
                row: [one[metric] for one in values[protocol, row]] for row in shares if values[protocol, row]
            }
            draw_tuned(
                axes, {ticks.index(shares[row]): of_row for row, of_row in found.items()}, protocol, index
            )
            for row, of_row in found.items():
                pixels = {one["n_pixels"] for one in values[protocol, row]}
                note = (
                    f"{shares[row]:g} % of the new site; "
                    f"{', '.join(f'{count:,}' for count in sorted(pixels))} pixels evaluated"
                )
                lines.append(
                    record(
                        spec,
                        row,
                        metric,
                        protocol=protocol,
                        data=spec.sites[0].data,
                        note=note,
                        **mean_of(of_row),
                    )
                )
    for axes, metric in zip(panels, TUNED, strict=True):
        for row, share in shares.items():
            printed = spec.published_value(row, metric)
            if printed is not None:
                axes.plot(
                    ticks.index(share), printed, "*", ms=9, mfc="none", mec=style.INK, mew=0.9, zorder=6
                )
        axes.set_xticks(range(len(ticks)), [f"{tick:g}" for tick in ticks])
        axes.set(
            xlabel="Share of the new site in fine-tuning (%)",
            ylabel=TUNED[metric],
            ylim=(0, 1),
            xlim=(-0.4, len(ticks) - 0.6),
        )
        axes.grid(axis="y", color="#DDDDDD", lw=0.5)
        axes.set_axisbelow(True)
    handles = [
        Line2D(
            [],
            [],
            color=style.OKABE_ITO[index],
            marker=style.MARKERS[index],
            ms=4.5,
            label=f"Protocol {protocol}",
        )
        for index, protocol in enumerate(spec.protocols)
    ]
    if any(spec.published_value(row, metric) is not None for row in shares for metric in TUNED):
        handles.append(Line2D([], [], ls="", marker="*", ms=9, mfc="none", mec=style.INK, label="Published"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    style.sign(figure, spec, f"Mean and standard deviation of seeds, each a dot.{pixels_remark(values)}")
    return figure, frame_of(lines)


def shares_of(spec: ExhibitSpec) -> dict[str, float]:
    """{row: percent} of the option `shares`, ascending."""
    place_of = f"exhibit '{spec.name}' ({spec.kind}), options, shares"
    shares = spec.options.get("shares")
    if not isinstance(shares, Mapping) or not shares:
        raise HeadscarpError(
            f"{place_of}: say on how many percent of the new site each row was fine-tuned, as {{row: "
            f"percent}}"
        )
    for row, share in shares.items():
        require_known(row, spec.rows, f"{place_of}: row")
        if not isinstance(share, int | float) or not 0 <= share <= 100:
            raise HeadscarpError(f"{place_of}: {row} has '{share}' but a share lies within 0 and 100 percent")
    for row in spec.rows:
        require_known(row, shares, f"{place_of} leave out a row of the exhibit: row")
    return {row: float(share) for row, share in sorted(shares.items(), key=lambda item: item[1])}


def tuned_scores(spec: ExhibitSpec, run: RunFiles, share: float) -> dict[str, Any]:
    """Landslide F1 and overall accuracy of the class map of a run at the new site, and how many pixels they
    are of."""
    path = (run.maps_of(spec.target.name) if share == 0 and spec.target else run.maps) / "scores.json"
    classes = scores_part(path, "classes")
    pixels = int(np.sum(classes["confusion"]))
    return {
        "landslide_f1": classes["per_class"][str(LANDSLIDE)]["f1"],
        "oa": classes["oa"],
        "n_pixels": pixels,
    }


def draw_tuned(axes: Axes, found: Mapping[int, Sequence[float | None]], protocol: str, index: int) -> None:
    """Dots of seeds, their mean and sd at each place on the axis of shares; `index` is the protocol's
    number."""
    colour, shift = style.OKABE_ITO[index], 0.08 * (index - 0.5)
    means = {at: mean_of(values) for at, values in found.items()}
    defined = {at: one for at, one in means.items() if one["value"] is not None}
    x = np.array(list(defined)) + shift
    deviations = [one["sd"] or 0.0 for one in defined.values()]
    axes.errorbar(
        x,
        [one["value"] for one in defined.values()],
        deviations,
        color=colour,
        marker=style.MARKERS[index],
        ms=4.5,
        lw=1.3,
        capsize=2.5,
        elinewidth=1.0,
        label=protocol,
        zorder=4,
    )
    for at, values in found.items():
        seeds = [value for value in values if value is not None]
        axes.plot(np.full(len(seeds), at + shift), seeds, ".", color=colour, ms=3.5, alpha=0.55, zorder=3)


def pixels_remark(values: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> str:
    """A warning if the rows of a protocol were evaluated on different numbers of pixels, as no fair
    comparison is."""
    of_protocol: dict[str, set[int]] = {}
    for (protocol, _), group in values.items():
        of_protocol.setdefault(protocol, set()).update(one["n_pixels"] for one in group)
    return (
        " Shares differ in the pixels they were evaluated on."
        if any(len(found) > 1 for found in of_protocol.values())
        else ""
    )


# --- sampling: class shares through its stages


def sampling_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Share of each class in the windows of each stage of sampling, on a logarithmic axis, a panel for each
    protocol.

    The numbers behind it are those shares, the number of windows, and the ratio of the largest to the
    smallest share that is not 0; rows such as `all:landslide` and `all`.

    Raises:
        HeadscarpError: the site has no samples, or they were not drawn in stages.
    """
    site = spec.only_site()
    names = names_of_classes(site)
    if not site.samples:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): site '{site.name}' has no samples; make them"
        )
    stages = {protocol: read_stages(folder) for protocol, folder in site.samples.items()}
    figure = style.new_figure(3.6)
    panels = figure.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    lines = []
    for axes, (protocol, of_protocol) in zip(panels, stages.items(), strict=True):
        draw_stages(axes, of_protocol, names)
        axes.set_title(f"Protocol {protocol}")
        for stage in of_protocol:
            rest = {"protocol": protocol, "data": site.data}
            lines += [
                record(spec, f"{stage['stage']}:{names[code]}", "share", share, **rest)
                for code, share in stage["shares"].items()
            ]
            lines.append(record(spec, stage["stage"], "windows", float(stage["windows"]), **rest))
            lines.append(record(spec, stage["stage"], "ratio", class_ratio(stage["shares"]), **rest))
    panels[0].set_ylabel("Share of labelled pixels")
    handles = [
        Line2D(
            [],
            [],
            color=INKS[code],
            marker=style.MARKERS[index],
            ms=4.5,
            lw=1.3,
            label=names[code].capitalize(),
        )
        for index, code in enumerate(sorted(names))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6)
    style.sign(figure, spec, "Below the stages: windows, and the ratio of the largest class to the smallest.")
    return figure, frame_of(lines)


def read_stages(folder: Path) -> list[dict[str, Any]]:
    """The stages of sampling {stage, windows, shares: {code: share}} of a folder of samples, codes as
    integers.

    Raises:
        HeadscarpError: samples.json is missing or says nothing of stages.
    """
    path = folder / "samples.json"
    stages = read_json(path).get("stages")
    if not stages:
        raise HeadscarpError(
            f"{path} names no stages of sampling: only samples of kind superpixels have them; leave the "
            f"chart out of the card"
        )
    return [
        stage | {"shares": {int(code): float(share) for code, share in stage["shares"].items()}}
        for stage in stages
    ]


def class_ratio(shares: Mapping[int, float]) -> float | None:
    """Ratio of the largest to the smallest share that is not 0; None where there is none."""
    present = [share for share in shares.values() if share > 0]
    return max(present) / min(present) if present else None


def draw_stages(axes: Axes, stages: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> None:
    """A line for each class through the stages of sampling."""
    for index, code in enumerate(sorted(names)):
        shares = [stage["shares"].get(code, 0.0) or np.nan for stage in stages]
        axes.plot(range(len(stages)), shares, color=INKS[code], marker=style.MARKERS[index], ms=4.5, lw=1.3)
    texts = []
    for stage in stages:
        ratio = class_ratio(stage["shares"])
        windows = f"{stage['windows']:,} windows" if stage["windows"] else ""
        name = textwrap.fill(stage["stage"].replace("_", " "), 14)
        texts.append(f"{name}\n{windows}\n" + ("" if ratio is None else f"{ratio:.3g} : 1"))
    axes.set_xticks(range(len(stages)), texts)
    axes.set(yscale="log", xlim=(-0.3, len(stages) - 0.7))
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.yaxis.set_minor_formatter(NullFormatter())
