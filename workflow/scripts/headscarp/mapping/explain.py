"""Grad-CAM of segmentation networks: which parts of a window raise the landslide logit, seen by two layers of
a network.

Selvaraju, R. R. et al. (2017). Grad-CAM: visual explanations from deep networks via gradient-based
localization. ICCV 2017, 618-626. doi:10.1109/ICCV.2017.74. For segmentation: Vinogradova, K., Dibrov, A. &
Myers, G. (2020). AAAI 34(10), 13943-13944, doi:10.1609/aaai.v34i10.7244. What is explained is the mean logit
over a set of pixels, here those of true landslides.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import Tensor, nn

from headscarp.arrays import open_array, write_arrays
from headscarp.codes import LANDSLIDE, TEST, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.mapping.predict import read_window, to_probability
from headscarp.networks.blocks import SegmentationNetwork, TwoStepHead
from headscarp.training.devices import choose_device
from headscarp.training.weights import load_network
from headscarp.training.windows import NormalisedCube, open_normalised

WINDOW = 128  # pixels: a multiple of every network's coarsest stride
WINDOWS = 3
EXPLAINED = ("decoder", "encoder")


class ModuleOutput(NamedTuple):
    """What a module of a network made of a window: its name in the network, and the maps' number and height
    in pixels."""

    name: str
    maps: int
    height: int


def module_outputs(model: SegmentationNetwork, window: Tensor) -> list[ModuleOutput]:
    """Modules that make maps of `window` (1, bands, H, W), in the order in which they finish; leaves
    evaluation mode on.

    Left out are modules that are called several times, whose maps would be mixed up; the layers of two-step
    heads; and what is no map at half, a quarter ... or `size_multiple`-th of the window's size (pooled
    vectors of attention, bins of pyramids).
    """
    heights = {window.shape[-2] >> level for level in range(model.size_multiple.bit_length())}
    heads = tuple(name for name, module in model.named_modules() if isinstance(module, TwoStepHead))
    calls: list[ModuleOutput | None] = []
    names: list[str] = []

    def note(name: str) -> Callable:
        def hook(_module: nn.Module, _inputs: tuple, output: object) -> None:
            is_map = isinstance(output, Tensor) and output.ndim == 4 and output.shape[-2] in heights
            names.append(name)
            calls.append(ModuleOutput(name, output.shape[1], output.shape[-2]) if is_map else None)

        return hook

    named = {name: module for name, module in model.named_modules() if name and not name.startswith(heads)}
    hooks = [module.register_forward_hook(note(name)) for name, module in named.items()]
    try:
        with torch.no_grad():
            model.eval()(window)
    finally:
        for hook in hooks:
            hook.remove()
    return [output for output in calls if output and names.count(output.name) == 1]


def explained_layers(model: SegmentationNetwork, bands: int, classes: int) -> dict[str, str]:
    """Names of the two layers of a network that are explained, by one rule for all networks.

    `decoder`: the module that finishes last of those that make more than the logits, that is another number
    of maps than there are classes (a two-step head counts as logits). `encoder`: the module that hands its
    features up, which is the last of those that make the smallest maps, whole and not a layer inside it, or
    what the network names (`hands_up`), where decoders have maps as small. In a network without decoder both
    see the coarse maps.
    """
    side = 4 * model.size_multiple
    outputs = module_outputs(model, torch.zeros(1, bands, side, side, device=next(model.parameters()).device))
    maps = [output for output in outputs if output.maps != classes]
    smallest = min(output.height for output in maps)
    coarse = [output.name for output in maps if output.height == smallest]
    whole = [name for name in coarse if not any(name.startswith(f"{other}.") for other in coarse)]
    return {"decoder": maps[-1].name, "encoder": model.hands_up or whole[-1]}


def grad_cam(model: nn.Module, layer: str, window: Tensor, pixels: Tensor, logit: int) -> np.ndarray:
    """Grad-CAM (H, W) float32, not below 0, of one window (1, bands, H, W) by the module called `layer`,
    enlarged bilinearly.

    The maps of the layer, each weighted by the mean over the map of the gradient of the mean of logit number
    `logit` over `pixels` (H, W) bool, are added up; what is below 0 speaks against landslides and counts as 0
    (Selvaraju et al., eqs 1 and 2).
    """

    def explained(images: Tensor) -> Tensor:
        return model(images)[:, logit, pixels].mean(dim=1)

    cam = LayerGradCam(explained, model.get_submodule(layer)).attribute(window, relu_attributions=True)
    return (
        LayerAttribution.interpolate(cam, tuple(window.shape[-2:]), "bilinear")[0, 0]
        .detach()
        .cpu()
        .numpy()
        .astype(np.float32)
    )


def largest_slides(
    instances: np.ndarray, tested: np.ndarray, count: int = WINDOWS, size: int = WINDOW
) -> np.ndarray:
    """First row, first column, height and width (window, 4) of the windows around the largest slides of the
    test region.

    Args:
        instances: (row, col), 0 or the number of the slide. tested: (row, col) bool.
        count, size: windows at most, and their sides, or those of the site where it is smaller. A slide
            whose middle lies in the window of a larger one gets none.

    Raises:
        HeadscarpError: there is no slide in the test region.
    """
    rows, cols = np.nonzero(tested & (instances > 0))
    if not rows.size:
        raise HeadscarpError(
            "the test region has no landslide to explain; use smaller blocks in the card's `sampling`"
        )
    _, member, areas = np.unique(instances[rows, cols], return_inverse=True, return_counts=True)
    sides = np.minimum(size, instances.shape)
    windows: list[np.ndarray] = []
    for slide in np.argsort(-areas, kind="stable"):
        pixels = np.stack([rows, cols], axis=1)[member == slide]
        # The middle of a bent slide may lie beside it; its own pixel next to that does not.
        middle = pixels[((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        if any((window[:2] <= middle).all() and (middle < window[:2] + sides).all() for window in windows):
            continue
        corner = np.clip(middle - sides // 2, 0, np.array(instances.shape) - sides)
        windows.append(np.concatenate([corner, sides]))
        if len(windows) == count:
            break
    return np.array(windows)


def explain_run(
    run_folder: str | Path,
    cube_folder: str | Path,
    samples_folder: str | Path,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write `gradcam.npz` into the folder of a trained run: how it sees the largest slides of the test
    region.

    windows: (window, [row, col, height, width]), the same for all runs on the same samples. decoder, encoder:
    Grad-CAM (window, height, width) float32 >= 0 by the two layers of `explained_layers`, for the mean
    landslide logit over the window's labelled landslide pixels; decoder_layer, encoder_layer: their names.
    probability: (window, height, width) float32.

    Raises:
        HeadscarpError: the run is not complete, a file of the cube or the samples is missing, no slide lies
            in the test region, or the device does not exist.
    """
    run_folder, cube_folder, samples_folder = Path(run_folder), Path(cube_folder), Path(samples_folder)
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    model, record = load_network(run_folder)
    spec = record["spec"]
    model.to(torch_device).eval()
    cube = open_normalised(
        cube_folder, samples_folder, spec["channels"], record.get("statistics"), spec.get("dates")
    )
    label = open_array(cube_folder / "label.npy")
    tested = (open_array(samples_folder / "regions.npy") == TEST) & (label != UNMAPPED)
    windows = largest_slides(open_array(cube_folder / "instances.npy"), tested)
    logit = LANDSLIDE if spec["classes"] > 1 else 0
    arrays: dict[str, list[np.ndarray]] = {name: [] for name in (*EXPLAINED, "probability")}
    layers: dict[str, str] = {}
    for window in windows:
        image = load_window(cube, window).to(torch_device)
        layers = layers or explained_layers(model, image.shape[1], spec["classes"])
        slides = torch.from_numpy(crop(label, window) == LANDSLIDE)
        for name, layer in layers.items():
            arrays[name].append(grad_cam(model, layer, image, slides, logit))
        with torch.inference_mode():
            arrays["probability"].append(to_probability(model(image))[0, logit].cpu().numpy())
    named = {f"{name}_layer": np.array(layer) for name, layer in layers.items()}
    stacked = {name: np.stack(values) for name, values in arrays.items()}
    write_arrays(run_folder / "gradcam.npz", {"windows": windows} | named | stacked)


def load_window(cube: NormalisedCube, window: np.ndarray) -> Tensor:
    """A window (row, col, height, width) of a cube's last date, (1, plane, height, width) float32, no data
    as 0."""
    row, col, height, width = (int(n) for n in window)
    image, _ = read_window(cube, -1, row, col, height, width)
    return torch.from_numpy(image)[None]


def crop(array: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The part of an array (row, col) under a window (row, col, height, width)."""
    row, col, height, width = window
    return array[row : row + height, col : col + width]
