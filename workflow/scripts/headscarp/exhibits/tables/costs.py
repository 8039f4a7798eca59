"""Tables of what networks cost: parameters, operations, time and memory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from headscarp.exhibits.averages import aggregate, mean_of
from headscarp.exhibits.forests import FOREST, held_against_forests
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.vocabulary import require_known

NETWORK = "network"
COUNTED_WHOLE = "parameters and size are of the network at full width, whatever the data"


def complexity(spec: ExhibitSpec) -> pd.DataFrame:
    """Parameters and saved size of each row's network at full width, and the time to map its scene (gao2021,
    Table IX).

    Options: `bands` (channels of the input, default 7).
    """
    from headscarp import networks  # here, since no other table waits for torch

    one = spec.only_site()
    lines = []
    for row in spec.rows:
        runs = [run for run in spec.runs if run.row == row]
        network = read_json(runs[0].folder / "run.json")["spec"]["network"]
        size = networks.describe(network["name"], spec.options.get("bands", 7), **network.get("params", {}))
        lines.append(
            record(spec, row, "parameters", float(size["parameters"]), data=NETWORK, note=COUNTED_WHOLE)
        )
        lines.append(
            record(spec, row, "model_ram_mb", float(size["model_mib"]), data=NETWORK, note=COUNTED_WHOLE)
        )
        maps = [read_json(run.maps / "map.json") for run in runs]
        devices = ", ".join(dict.fromkeys(one["device"] for one in maps))
        note = (
            f"test time on {devices} at width {network['width']:g} for {maps[0]['pixels']:,} pixels; "
            "published: NVIDIA RTX 3090, full width, so the difference is of machines and scale"
        )
        lines.append(
            record(
                spec,
                row,
                "test_time_s",
                data=one.data,
                note=note,
                **mean_of([one["seconds"] for one in maps]),
            )
        )
    return frame_of(lines)


COUNTED = (
    "parameters and multiply-adds are of the network at full width with the channels of its "
    "experiment, whatever the data"
)


def lightweight(spec: ExhibitSpec) -> pd.DataFrame:
    """Parameters and multiply-adds per megapixel of each row's network at full width, and the time to map a
    megapixel at this scale."""
    # Imported here: it takes seconds to import torch, and figures share the rest of this module.
    from headscarp.networks.costs import MEGAPIXEL, describe_costs

    data, lines = spec.only_site().data, []
    for row in spec.rows:
        described = spec.experiments[row]
        costs = describe_costs(described["network"], len(described["channels"]), **described["params"])
        counted = {
            "parameters": float(costs["parameters"]),
            "giga_multiply_adds_per_megapixel": costs["multiply_adds_per_megapixel"] / 1e9,
        }
        lines += [
            record(spec, row, metric, value, data=NETWORK, note=COUNTED) for metric, value in counted.items()
        ]
        maps = [read_json(run.maps / "map.json") for run in spec.runs if run.row == row]
        devices = ", ".join(dict.fromkeys(one["device"] for one in maps))
        note = (
            f"time on {devices} at width {described['width']:g}, maps of {maps[0]['pixels']:,} pixels; "
            f"reading, overlapping windows and "
            "writing are included, and other jobs may have run beside"
        )
        seconds = mean_of([one["seconds"] / one["pixels"] * MEGAPIXEL for one in maps])
        lines.append(record(spec, row, "seconds_per_megapixel", data=data, note=note, **seconds))
    return frame_of(lines)


METRICS = ("f1", "average_precision", "iou")


def network_comparison(spec: ExhibitSpec) -> pd.DataFrame:
    """F1, average precision and IoU of each row with 95 % intervals, what `lightweight` tells of the costs of
    the networks among them, and the peak memory of their training in MiB."""
    frames = [frame_of(held_against_forests(spec, aggregate(spec, METRICS), METRICS))]
    runs = tuple(run for run in spec.runs if spec.experiments[run.row]["network"] != FOREST)
    of_networks = replace(spec, runs=runs)
    for protocol in spec.protocols:
        runs = tuple(run for run in of_networks.runs if run.protocol == protocol)
        frames.append(lightweight(replace(of_networks, runs=runs)).assign(protocol=protocol))
    return pd.concat([*frames, frame_of(memory_records(of_networks))], ignore_index=True)


def memory_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of the peak memory of training, mean and sd over seeds."""
    for protocol in spec.protocols:
        for row in spec.rows:
            records = [read_json(run.folder / "run.json") for run in spec.runs_of(row, protocol)]
            memories = [one.get("peak_memory") for one in records]
            measured = [memory for memory in memories if memory]
            of_what = (
                require_known(measured[0]["of"], MEMORIES, f"run.json of {row}: peak memory of")
                if measured
                else ""
            )
            value = mean_of([memory and memory["mib"] for memory in memories])
            note = (
                MEMORIES[of_what] if measured else "trained before memory was recorded; train the run again"
            )
            yield record(
                spec,
                row,
                "training_memory_mib",
                protocol=protocol,
                data=spec.only_site().data,
                note=note,
                **value,
            )


MEMORIES = {
    "process": "memory is the largest resident set of the training process, Python and its libraries (some "
    "hundreds of MiB) included",
    "device": "memory is the most that tensors took on the accelerator at once",
}
