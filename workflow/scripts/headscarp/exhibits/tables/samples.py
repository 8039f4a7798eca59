"""Tables of samples: class shares through the stages of sampling."""

from typing import Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.mapping.raster import CLASS_NAMES


def class_ratios(spec: ExhibitSpec) -> pd.DataFrame:
    """Class shares of the training windows after each stage of sampling; rows such as `mangkam_feb:tiles`.

    Metrics: windows, the share of each class, and `largest_to_smallest`, the ratio of the largest class to
    the smallest that is there.

    Raises:
        HeadscarpError: samples of a site were not drawn in stages.
    """
    lines: list[dict[str, Any]] = []
    for site in spec.sites:
        for protocol, folder in site.samples.items():
            stages = read_json(folder / "samples.json").get("stages")
            if not stages:
                raise HeadscarpError(
                    f"{folder / 'samples.json'} tells no stages of sampling; take a site sampled by "
                    f"superpixels in exhibit '{spec.name}'"
                )
            for stage in stages:
                same = {"protocol": protocol, "data": site.data}
                row, shares = (
                    f"{site.name}:{stage['stage']}",
                    {int(code): share for code, share in stage["shares"].items()},
                )
                lines.append(record(spec, row, "windows", float(stage["windows"]), **same))
                lines += [
                    record(spec, row, name, shares.get(code), **same) for code, name in CLASS_NAMES.items()
                ]
                positive = [share for share in shares.values() if share > 0]
                ratio = max(positive) / min(positive) if positive else None
                lines.append(record(spec, row, "largest_to_smallest", ratio, **same))
    return frame_of(lines)
