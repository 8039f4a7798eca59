"""A user's scene of a collage, made ready as the pipeline does before it makes layers: its image as
reflectance, alpha as no data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.areas.check.files import Located, RawFiles
from headscarp.areas.check.findings import ERROR, NOTE, Finding
from headscarp.errors import HeadscarpError
from headscarp.site.scene import PREPARED_CLASSES, PREPARED_RGB, prepare_scene, rgb_file


def ready_scene(
    name: str, layers: Mapping[str, Any], raw: RawFiles, scratch: Path
) -> tuple[Mapping[str, Any], RawFiles]:
    """The part `layers` of a scene's site as layers are made of it, and its files, under their own names; as
    they are where some are not at hand, or the scene is unfit, which is told.

    Args:
        scratch: an existing folder, into which the scene is written.
    """
    if not all(isinstance(place, Located) for place in raw.located.values()):
        return layers, raw
    links, out = scratch / "links", scratch / "scene"
    for folder in (links, out):
        folder.mkdir()
    for file, place in raw.located.items():
        (links / file).symlink_to(place.path.resolve())
    try:
        ready, notes = prepare_scene(dict(layers) | {"name": name}, links, out)
    except HeadscarpError as error:
        text = str(error).replace(f"{links}/", "")
        return layers, RawFiles(raw.located, [*raw.findings, Finding(ERROR, "files", "scene", text)])
    image = rgb_file(layers, name)
    own = {PREPARED_RGB: image, PREPARED_CLASSES: layers["labels"].get("landslides")}
    located = dict(raw.located)
    for prepared, file in own.items():
        if (out / prepared).exists():
            located[file] = Located(out / prepared, raw.located[file].origin)
    told = [Finding(NOTE, "files", *note.split(": ", 1)) for note in notes]
    return renamed(ready, own), RawFiles(located, [*raw.findings, *told])


def renamed(part: Any, names: Mapping[str, Any]) -> Any:
    """A part of a card with names of files put back."""
    if isinstance(part, Mapping):
        return {key: renamed(value, names) for key, value in part.items()}
    return names.get(part, part) if isinstance(part, str) else part
