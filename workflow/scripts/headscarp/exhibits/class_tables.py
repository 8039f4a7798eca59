"""What printed tables of maps of several classes say of each other."""

import pandas as pd

from headscarp.exhibits.audit_tables import PRINTED, printed_rows
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.scoring.audit import audit_row

LANDSLIDE = "landslide"
ROUNDING = 0.005  # half a unit of the last printed place
READ_AS = {
    "oe": "1 - printed DP",
    "ce": "1 - printed landslide precision, so that it counts pixels",
    "qp": "TP / (TP + FP + FN) from printed DP and CE",
}


def extraction_audit(spec: ExhibitSpec) -> pd.DataFrame:
    """Printed OE, CE and QP beside what the printed DP, CE and landslide precision make of them (xia2021,
    Tables 3 and 4).

    Rows such as `table4:fcn8s`, which say `data = published`; the note tells whether the two agree within
    rounding. Needs published records with the key `table`. Options: `classes` (table of precision by class,
    default table3), `extraction` (table of DP, QP, OE and CE, default table4).
    """
    table = spec.options.get("extraction", "table4")
    precision = {
        row: numbers[LANDSLIDE]
        for row, numbers in printed_rows(spec, spec.options.get("classes", "table3")).items()
    }
    lines = []
    for row, printed in printed_rows(spec, table).items():
        known = printed | ({"precision": precision[row]} if row in precision else {})
        for finding in audit_row(known, ROUNDING):
            note = f"{finding['check'].upper()} {finding['verdict']} with {READ_AS[finding['check']]}"
            same = {"published": finding["stated"], "data": PRINTED, "note": note}
            lines.append(record(spec, f"{table}:{row}", finding["check"], finding["recomputed"], **same))
    return frame_of(lines)
