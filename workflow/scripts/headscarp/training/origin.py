"""What a trained network must say of where it comes from, so that its folder alone is enough to use it at
another place."""

from pathlib import Path
from typing import Any

from headscarp.files import read_json

# Of cube.json.
CUBE_KEYS = ("site", "data", "grid", "dates", "classes", "citation", "patches", "scenes")


def origin_of_run(
    spec: dict[str, Any], cube_folder: str | Path, samples_folder: str | Path, run_folder: str | Path
) -> dict[str, Any]:
    """The part `trained_on` of a run.json: where and on what a run of a specification is trained.

    Returns:
        {run: card/site/experiment/protocol/seed, as its folder says them; window: side in pixels of the
        windows; those of CUBE_KEYS that cube.json has; channels: in the order in which the network reads
        them, each as cube.json describes it and with its `normalisation`}.

    Raises:
        HeadscarpError: a file is missing.
    """
    header = read_json(Path(cube_folder) / "cube.json")
    samples = read_json(Path(samples_folder) / "samples.json")
    normalised_by = read_json(spec["statistics"]) if spec.get("statistics") else samples
    described = {channel["name"]: channel for channel in header["channels"]}
    return {
        "run": "/".join(Path(run_folder).parts[-5:]),
        "window": spec.get("window", samples.get("window")),
        **{key: header[key] for key in CUBE_KEYS if key in header},
        "channels": [
            described[name] | {"normalisation": normalised_by["normalisation"][name]}
            for name in spec["channels"]
        ],
    }
