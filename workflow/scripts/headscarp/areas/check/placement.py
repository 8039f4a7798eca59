"""Whether the landslides lie where the image shows them."""

from headscarp.areas.alignment import direction, edge_alignment
from headscarp.areas.check.findings import NOTE, OK, WARNING, Checked
from headscarp.codes import LANDSLIDE


def check_alignment(checked: Checked) -> None:
    """Whether the landslides lie where the image shows them."""
    if checked.label is None or not (checked.label == LANDSLIDE).any():
        return
    names = checked.image_after()
    if not names:
        checked.tell(NOTE, "alignment", "labels", "no image at hand to compare the landslides with")
        return
    aligned = checked.alignment = edge_alignment([checked.layers[name] for name in names], checked.label)
    if aligned is None:
        checked.tell(
            NOTE, "alignment", "labels", "too few outlines of landslides on the image to compare them"
        )
        return
    cell = checked.view.resolution
    against = (
        f"of {', '.join(names)} (correlation {aligned.surface.max():.2f}, same within a pixel in "
        f"{aligned.agreement:.0%} of resamples)"
    )
    if not aligned.is_told:
        checked.tell(
            NOTE,
            "alignment",
            "labels",
            f"the edges {against} do not tell where the landslides lie; look at them in a GIS",
        )
    elif max(abs(aligned.rows), abs(aligned.cols)) < 1.5:
        checked.tell(
            OK,
            "alignment",
            "labels",
            f"line up with the edges {against}: off by {direction(aligned.rows, aligned.cols)}",
        )
    else:
        where = direction(aligned.rows, aligned.cols)
        checked.tell(
            WARNING,
            "alignment",
            "labels",
            f"seem shifted {where} ({aligned.pixels * cell:.0f} m) against the edges {against}; check "
            f"the CRS and datum of both",
        )
