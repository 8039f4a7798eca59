"""Tables of what networks are made of, layer by layer."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record, text_record

if TYPE_CHECKING:
    from torch import Tensor, nn

NETWORK = "network"


def architecture(spec: ExhibitSpec) -> pd.DataFrame:
    """Parts of the row's network at full width, in the order in which a window passes them: layers, output
    maps, their side, and parameters as Keras counts them (gao2021, Tables III and IV); rows such as `down 1`.
    Published are texts of `layers`.

    Options: `window` (side of the window in pixels, default 64).

    Raises:
        HeadscarpError: the exhibit has another number of rows than one.
    """
    import torch

    from headscarp import networks

    if len(spec.experiments) != 1:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (architecture) shows one network, but has "
            f"{len(spec.experiments)} rows; name one as `rows`"
        )
    (described,) = spec.experiments.values()
    with torch.device("meta"):
        model = networks.build(described["network"], len(described["channels"]), **described["params"])
    lines: list[dict[str, Any]] = []
    for name, part, output in parts_passed(model, len(described["channels"]), spec.options.get("window", 64)):
        text, printed = ", ".join(layers_of(part)), spec.published_text(name, "layers")
        counted = {
            "maps": output.shape[1],
            "side_px": output.shape[-1],
            "parameters": networks.count_parameters(part),
        }
        lines.append(text_record(spec, name, "layers", text, printed, data=NETWORK))
        lines += [record(spec, name, metric, float(value), data=NETWORK) for metric, value in counted.items()]
    whole = float(networks.count_parameters(model))
    return frame_of([*lines, record(spec, "whole network", "parameters", whole, data=NETWORK)])


def parts_passed(model: "nn.Module", channels: int, side: int) -> Iterator[tuple[str, "nn.Module", "Tensor"]]:
    """Name, module and output of the parts of a network (`parts_of`), each once and in the order in which a
    window (channels, side, side) passes them; of several outputs the last."""
    import torch

    passed: list[tuple[str, nn.Module, Tensor]] = []
    for name, part in parts_of(model):
        part.register_forward_hook(lambda module, _, output, name=name: passed.append((name, module, output)))
    with torch.no_grad():
        model.eval()(torch.empty(1, channels, side, side, device=next(model.parameters()).device))
    for name, part, output in {name: one for one in passed for name in one[:1]}.values():
        yield name, part, output[-1] if isinstance(output, tuple | list) else output


def parts_of(model: "nn.Module") -> Iterator[tuple[str, "nn.Module"]]:
    """The parts of a network with what people read for them: its own modules, and the members of its lists of
    modules, numbered."""
    from torch import nn

    for name, child in model.named_children():
        text = name.replace("_", " ")
        if isinstance(child, nn.ModuleList):
            yield from ((f"{text} {number}", one) for number, one in enumerate(child, start=1))
        else:
            yield text, child


def layers_of(part: "nn.Module") -> list[str]:
    """The layers of a part in words, in the order of their registration; what repeats stands once, with how
    often."""
    from torch import nn

    children = list(part.children())
    if not children:
        return list(filter(None, [layer_text(part)]))
    if isinstance(part, nn.ModuleList):
        return repeated(" – ".join(layers_of(child)) for child in children)
    return repeated(text for child in children for text in layers_of(child))


def repeated(texts: Iterable[str]) -> list[str]:
    """Texts in order, runs of the same one as `4 × (…)`."""
    counted = [(text, len(list(group))) for text, group in groupby(texts)]
    return [text if times == 1 else f"{times} × ({text})" for text, times in counted]


def layer_text(layer: "nn.Module") -> str:
    """A layer in words; nothing for one that does nothing."""
    from torch import nn

    kernel = getattr(layer, "kernel_size", None)
    size = "×".join(map(str, kernel)) if isinstance(kernel, tuple) else f"{kernel}×{kernel}"
    match layer:
        case nn.ConvTranspose2d():
            return f"{size} up-convolution ×{layer.stride[0]} to {layer.out_channels}"
        case nn.Conv2d():
            stride = f", stride {layer.stride[0]}" if layer.stride[0] > 1 else ""
            atrous = f", rate {layer.dilation[0]}" if layer.dilation[0] > 1 else ""
            return f"{size} convolution{stride}{atrous} to {layer.out_channels}"
        case nn.BatchNorm2d():
            return "batch norm"
        case nn.MaxPool2d():
            return f"{size} max pooling"
        case nn.Dropout() | nn.Dropout2d():
            return f"dropout {layer.p:g}"
        case nn.Identity():
            return ""
    return type(layer).__name__
