"""What a card proposes for an area: input groups, experiments, sampling and scales that suit its data and its
size."""

from typing import Any

from headscarp.areas.init.draft import Draft, Entry
from headscarp.geo.grid import Grid

TERRAIN = ("elevation", "slope", "aspect", "curvature", "plan_curvature", "profile_curvature", "twi")
TERRAIN_CHANNELS = (
    "elevation",
    "slope",
    "aspect_sin",
    "aspect_cos",
    "curvature",
    "plan_curvature",
    "profile_curvature",
    "twi",
)


def indices_of(draft: Draft) -> dict[str, dict[str, str]]:
    """NDVI and MNDWI of the image after the event, where it has their bands and no file brings them."""
    present = {name for name, _, _ in draft.rasters}
    wanted = {"ndvi": ("nir", "red"), "mndwi": ("green", "swir1")}
    indices = {name: {band: draft.layer(band) for band in bands} for name, bands in wanted.items()}
    return {
        name: bands for name, bands in indices.items() if None not in bands.values() and name not in present
    }


def inputs_of(draft: Draft) -> dict[str, list[str]]:
    """Input groups: what the image shows, the terrain, and what else there is."""
    optical = draft.optical + [name for name in indices_of(draft) if name == "ndvi"]
    terrain = list(TERRAIN_CHANNELS) if draft.has_elevation else []
    groups = {"optical": optical, "terrain": terrain, "context": draft.context}
    return {name: channels for name, channels in groups.items() if channels}


def experiments_of(draft: Draft) -> list[Entry]:
    """Forest and U-Net on the image, with terrain where there is an elevation model, with all there is; a
    ResU-Net, and a network that reads all dates of a series."""
    groups = list(inputs_of(draft))
    terrain = ["optical", "terrain"] if "terrain" in groups else []
    networks = {"random_forest": "Random forest", "unet": "U-Net"}
    experiments = []
    for network, label in networks.items():
        experiments.append(experiment(network, label, network, ["optical"]))
        if terrain:
            experiments.append(experiment(f"{network}+terrain", f"{label} + terrain", network, terrain))
    if "context" in groups:
        experiments += [
            experiment(f"{network}+all", f"{label} + all", network, groups)
            for network, label in networks.items()
        ]
    if len(draft.dates) > 1:
        name, record, _ = experiment("cnn_lstm", "CNN-LSTM, all dates", "cnn_lstm", ["optical"])
        experiments.append((name, record | {"dates": "all"}, "reads all dates; the others the last one"))
    if not terrain:
        return [*experiments, experiment("resunet", "ResU-Net", "resunet", ["optical"])]
    return [*experiments, experiment("resunet+terrain", "ResU-Net + terrain", "resunet", terrain)]


def experiment(name: str, label: str, network: str, inputs: list[str]) -> Entry:
    return name, {"label": label, "network": network, "inputs": inputs}, ""


def sampling_of(grid: Grid) -> tuple[dict[str, Any], str]:
    """Windows and split that suit the size of a grid, and why; blocks of three windows, or strips where few
    of them fit."""
    shortest, longest = sorted(grid.shape)
    window = next((size for size in (64, 32) if shortest >= 6 * size), 16)
    axis = "x" if grid.width >= grid.height else "y"
    many = (shortest // window) * (longest // window) >= 100
    split: dict[str, Any] = {"kind": "blocks"}
    if not many:
        split = {
            "kind": "strips",
            "axis": axis,
            "edges": [0.42, 0.7],
            "subsets": ["train", "validation", "test"],
        }
    side = (
        "blocks of the area"
        if many
        else "strips from " + ("west to east" if axis == "x" else "north to south") + ": the area is small"
    )
    sampling = {"window": window, "stride": window // 2, "background_ratio": 1.0, "split": split}
    return sampling, f"GUESS windows of {window} pixels, {side}"


def scales_of(grid: Grid, window: int) -> list[Entry]:
    """The four scales: `tiny` has about 300 pixels a side, but never loses more than a factor of 2.5."""
    size = round(min(1.0, max(0.4, 300 / max(grid.shape))), 2)
    half = {"window": max(16, window // 2), "stride": max(8, window // 4)} if size < 1 else {}
    tiny = {"size": size, "width": 0.125, "seeds": [0]} | ({"sampling": half} if half else {})
    tiny["training"] = {"batch": 4, "epochs": 2, "steps_per_epoch": 3}
    demo = {"size": 1.0, "width": 0.25, "seeds": [0], "training": {"epochs": 4, "steps_per_epoch": 25}}
    standard = {"size": 1.0, "width": 0.25, "seeds": [0, 1, 2]}
    full = {"size": 1.0, "width": 1.0, "seeds": [0, 1, 2]}
    return scale_entries(tiny, demo, standard, full)


def scale_entries(*scales: dict[str, Any]) -> list[Entry]:
    """The scales tiny, demo, standard and full, and what each is for."""
    purposes = {
        "tiny": "does everything run?",
        "demo": "minutes, a first look",
        "standard": "hours, trained until the plateau",
        "full": "wants a GPU",
    }
    return [(name, scale, why) for (name, why), scale in zip(purposes.items(), scales, strict=True)]


def composite_of(draft: Draft) -> list[str] | None:
    """Three layers for red, green and blue: true colour after the event, or what there is."""
    present = draft.optical
    true = [draft.layer(name) for name in ("red", "green", "blue")]
    if None not in true and len({name.split("_")[0] for name in true}) == len(
        {"post" in name for name in true}
    ):
        return true
    return present[:3] if len(present) >= 3 else None


def best_map_of(draft: Draft, rows: list[str]) -> tuple[dict[str, Any], str]:
    """How the map that is delivered is chosen, and why its smallest landslide is that: a twentieth of the
    inventory's are smaller, but not less than a pixel."""
    pixel = draft.grid.resolution**2
    small = max(draft.small_m2 or 0, pixel)
    why = "GUESS a twentieth of the inventory's landslides are smaller" if small > pixel else "GUESS a pixel"
    smallest = float(f"{small:.2g}")
    return {"among": rows, "threshold": "f1", "calibration": "platt", "minimum_area_m2": smallest}, why
