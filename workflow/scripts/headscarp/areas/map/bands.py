"""Which band of a user's files is which layer of a trained network."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from headscarp.areas.guess.files import telling_folder
from headscarp.areas.guess.names import DEM, optical_in, role_in, time_in
from headscarp.areas.guess.rasters import Band, bands_of
from headscarp.delivery.trained_model import TrainedModel
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.vocabulary import require_known


@dataclass(frozen=True)
class Inputs:
    """The bands that a network is given: of each layer by date (at None what is the same at all dates), and
    of an elevation model, where it reads one."""

    layers: Mapping[str, Mapping[str | None, Band]]
    dem: Band | None
    dates: Sequence[str]

    @property
    def bands(self) -> list[Band]:
        """All bands, those of images first."""
        found = [band for dated in self.layers.values() for band in dated.values()]
        return found + ([self.dem] if self.dem else [])


def find_inputs(
    model: TrainedModel, paths: Sequence[Path], grid: Grid, chosen: Mapping[str, str] | None = None
) -> Inputs:
    """The bands of files, looked at under a grid, that a network reads.

    A band is that layer whose name it (or, of a file of one band, the file) has, or whose spectral band and
    time (before or after the event) their names tell, as `headscarp init` reads them.

    Args:
        chosen: {layer, or dem: band as `read_choice` takes it}, which decides whatever names say.

    Raises:
        HeadscarpError: a file is unreadable or lies elsewhere; a layer is given by no band or by several; an
            elevation model is missing; a network of series is not given as many dates as it reads.
    """
    bands = [band for path in paths for band in bands_of(path, grid, telling_folder(path, paths))]
    wanted = list(model.rasters)
    named = {
        require_known(name, [*wanted, *([DEM] if model.terrain else [])], "--bands: layer"): read_choice(
            name, text, paths, bands
        )
        for name, text in (chosen or {}).items()
    }
    dem = named.pop(DEM, None) or (find_dem(model, bands) if model.terrain else None)
    matches = {
        layer: [named[layer]] if layer in named else candidates(layer, wanted, bands) for layer in wanted
    }
    require_found(model, matches, bands)
    if model.dates:
        layers, dates = by_date(model, matches)
        return Inputs(layers, dem, dates)
    layers = {layer: {None: only(layer, found)} for layer, found in matches.items()}
    dates = {band.date for one in layers.values() for band in one.values()} - {None}
    return Inputs(layers, dem, sorted(dates)[-1:])


def read_choice(name: str, text: str, paths: Sequence[Path], bands: Sequence[Band]) -> Band:
    """The band that a user chose: its number or description, `FILE:BAND` where there are several files, or
    a file alone, of which it is the first band.

    Raises:
        HeadscarpError: there is no such file or band.
    """
    files = {str(path): path for path in paths} | {path.name: path for path in paths}
    file, colon, which = text.rpartition(":")
    if text in files:
        path, which = files[text], "1"
    elif colon:
        path = files[require_known(file, files, f"--bands {name}={text}: file")]
    elif len(paths) == 1:
        path = paths[0]
    else:
        raise HeadscarpError(
            f"--bands {name}={text} does not say of which file; write --bands {name}={paths[0].name}:{text}"
        )
    here = {str(band.number): band for band in bands if band.path == path}
    described = {band.name: band for band in here.values() if band.name}
    return (here | described)[
        require_known(which, [*here, *described], f"--bands {name}={text}: {path.name} has the bands")
    ]


def candidates(layer: str, wanted: Sequence[str], bands: Sequence[Band]) -> list[Band]:
    """The bands that may be a layer, of all that a network reads."""
    same = [band for band in bands if layer.lower() in names_of(band)]
    if same:
        return same
    role, time = meaning(layer)
    if role is None:
        return []
    times = {meaning(other)[1] for other in wanted if meaning(other)[0] == role}
    fitting = [band for band in bands if band.role == role]
    exact = [band for band in fitting if band.time == time]
    # Where one image is read, of whichever time, one that does not say its time may be it.
    return exact or ([band for band in fitting if not (band.time and time)] if len(times) == 1 else [])


def names_of(band: Band) -> set[str]:
    """What a band is called, in lower case; one alone in its file as that is."""
    return {text.lower() for text in (band.name, band.path.stem if band.count == 1 else None) if text}


def meaning(layer: str) -> tuple[str | None, str]:
    """The role and time that a layer's name tells: `post_B04` is red, after the event."""
    return optical_in(layer, layer) or role_in(layer), time_in(layer)


def only(layer: str, found: Sequence[Band]) -> Band:
    """The band that is a layer, of those that may be.

    Raises:
        HeadscarpError: there are several.
    """
    if len(found) > 1:
        listed = " and ".join(text_of(band) for band in found[:3])
        raise HeadscarpError(
            f"{layer} may be {listed}; say which it is, for example "
            f"--bands {layer}={found[0].path.name}:{found[0].number}"
        )
    return found[0]


def find_dem(model: TrainedModel, bands: Sequence[Band]) -> Band:
    """The elevation model among bands.

    Raises:
        HeadscarpError: there is none, or there are several.
    """
    found = [band for band in bands if band.role == DEM]
    if not found:
        raise HeadscarpError(
            f"the network reads {', '.join(model.terrain)}, which are derived from an elevation model, and "
            f"none of the files is taken for one; give it too, or name it: --bands {DEM}=FILE"
        )
    return only(DEM, found)


def require_found(model: TrainedModel, matches: Mapping[str, Sequence[Band]], bands: Sequence[Band]) -> None:
    """Refuse files in which a layer is missing.

    Raises:
        HeadscarpError: one is; the message names the nearest of the bands.
    """
    missing = [layer for layer, found in matches.items() if not found]
    if not missing:
        return
    first, units = missing[0], {layer: entry["units"] for layer, entry in model.rasters.items()}
    used = [band for found in matches.values() for band in found]
    free = {label_of(band): band for band in bands if band.role != DEM and band not in used}
    likeliest = max(free, key=lambda name: SequenceMatcher(None, first, name).ratio(), default=None)
    raise HeadscarpError(
        f"the network reads {', '.join(f'{layer} ({units[layer]})' for layer in missing)}, and no band is "
        f"taken for {'it' if len(missing) == 1 else 'them'}; "
        + (
            f"of those that nothing else reads, the nearest to {first} is '{likeliest}': if it is that, give "
            f"--bands {first}={free[likeliest].path.name}:{free[likeliest].number}"
            if likeliest
            else "the files have no other bands; give those that are missing too"
        )
    )


def label_of(band: Band) -> str:
    """A band's name, or what else tells it from others."""
    return band.name or (band.path.stem if band.count == 1 else f"{band.path.name}:{band.number}")


def text_of(band: Band) -> str:
    """A band in words."""
    return f"band {band.number} of {band.path.name}" + (f" ({band.name})" if band.name else "")


def by_date(
    model: TrainedModel, matches: Mapping[str, Sequence[Band]]
) -> tuple[dict[str, dict[str | None, Band]], list[str]]:
    """The bands of a series by layer and date, and its dates; what changes with the dates in training must
    tell its date, all else is the same at all.

    Raises:
        HeadscarpError: the names of files do not tell as many dates as the network reads, or a layer has
            several bands at one.
    """
    dated = {layer for layer, entry in model.rasters.items() if entry.get("dated", True)}
    dates = sorted({band.date for layer in dated for band in matches[layer]} - {None})
    if len(dates) != len(model.dates):
        raise HeadscarpError(
            f"the network reads {len(model.dates)} dates (trained on {', '.join(model.dates)}), but the "
            f"names of the files tell {len(dates)} ({', '.join(dates) or 'none'}); give one image of each "
            "date, with its date in its name, such as image_2018-09-06.tif"
        )
    layers: dict[str, dict[str | None, Band]] = {}
    for layer, found in matches.items():
        if layer not in dated:
            layers[layer] = {None: only(layer, found)}
            continue
        layers[layer] = {
            date: only(layer, here)
            for date in dates
            if (here := [band for band in found if band.date == date])
        }
    return layers, dates


def parse_choices(texts: Sequence[str], what: str) -> dict[str, str]:
    """`NAME=VALUE` of an option, which may be given several times and hold several parted by commas.

    Raises:
        HeadscarpError: one is not of that form.
    """
    found: dict[str, Any] = {}
    for text in (part for one in texts for part in one.split(",")):
        named = re.fullmatch(r"\s*([^=\s]+)\s*=\s*(.+?)\s*", text)
        if not named:
            raise HeadscarpError(f"{what} {text} is not understood; write {what} NAME=VALUE")
        found[named[1]] = named[2]
    return found
