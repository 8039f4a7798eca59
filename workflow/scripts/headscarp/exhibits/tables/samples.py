"""Tables of samples: class shares through the stages of sampling."""

from typing import Any

import pandas as pd

from headscarp.codes import LAND_COVER_KEYS
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.stages import class_ratio, read_stages
from headscarp.exhibits.tidy import frame_of, record


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
            same = {"protocol": protocol, "data": site.data}
            for stage in read_stages(folder):
                row, shares = f"{site.name}:{stage['stage']}", stage["shares"]
                lines.append(record(spec, row, "windows", float(stage["windows"]), **same))
                lines += [
                    record(spec, row, name, shares.get(code), **same)
                    for code, name in LAND_COVER_KEYS.items()
                ]
                lines.append(record(spec, row, "largest_to_smallest", class_ratio(shares), **same))
    return frame_of(lines)
