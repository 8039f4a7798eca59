"""Networks of xia2021: encoders, ASPP, DeepLab, RAE-D, FSTF-Net. What all segmentation networks share is in
test_networks.py."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks.aspp import ASPP
from headscarp.networks.resnet import PLAIN, STRIDE_8, STRIDE_16, ResNet50
from headscarp.networks.vgg import VGG, VGG16

CHANNELS = {"basic_fcn": 3, "aspp": 3, "deeplab_v3": 3, "deeplab_v3plus": 3, "rae_d": 3, "fstf_net": 7}
CLASSES = 6
FUSIONS = ("concat", "sum", "stack")


def small(name: str, **params) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, CHANNELS[name], CLASSES, width=0.125, **params)


def with_random_norms(model: nn.Module) -> nn.Module:
    """In evaluation mode, every batch norm with statistics and weights of its own, so that none is an
    identity."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -1, 1),
                (module.running_var, 1, 3),
                (module.bias.data, -1, 1),
            ):
                values.uniform_(low, high)
    return model.eval()


def offsets_seen(layer: nn.Module, channels: int, reach: int) -> set[int]:
    """Distances in cells, along rows and columns alike, from which the middle cell of a layer's answer gets
    its input."""
    maps = torch.randn(1, channels, 2 * reach + 1, 2 * reach + 1, requires_grad=True)
    layer(maps)[0, :, reach, reach].sum().backward()
    seen = maps.grad[0].abs().sum(0) > 0
    rows, columns = (set((seen.any(dim).nonzero()[:, 0] - reach).tolist()) for dim in (1, 0))
    assert rows == columns
    assert int(seen.sum()) == len(rows) ** 2
    return rows


# --- counts
# ------------------------------------------------------------------------------------------


def test_resnet50_with_its_classifier_has_the_published_count():
    with torch.device("meta"):
        model = nn.Sequential(ResNet50(3, 1.0), nn.Linear(2048, 1000))
    assert networks.count_trainable(model) == 25_557_032


def test_vgg16_with_its_classifier_has_the_published_counts():
    with torch.device("meta"):
        classifier = nn.Sequential(nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000))
        model = nn.Sequential(VGG(3, VGG16, 1.0), classifier)
    norms = sum(
        networks.count_trainable(module) for module in model.modules() if isinstance(module, nn.BatchNorm2d)
    )
    assert networks.count_trainable(model) == 138_365_992
    assert networks.count_trainable(model) - norms == 138_357_544


RESNET50 = 25_557_032 - (2048 * 1000 + 1000)  # trainable, 3 bands
VGG16_CONVOLUTIONS = 138_365_992 - (25088 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000)


def normalised(inputs: int, outputs: int, kernel: int = 1) -> int:
    return inputs * outputs * kernel * kernel + 2 * outputs


ASPP_BY_HAND = 2 * normalised(2048, 256) + 3 * normalised(2048, 256, 3) + normalised(5 * 256, 256)
HEAD = 256 * CLASSES + CLASSES
RAE_D = (
    RESNET50
    + ASPP_BY_HAND
    + sum(normalised(skip, 48) + normalised(256 + 48, 256, 3) for skip in (128, 64))
    + HEAD
)
VGG_BRANCH = VGG16_CONVOLUTIONS + (4 - 3) * 64 * 9  # four bands, not three
BY_HAND = {
    "aspp": RESNET50 + ASPP_BY_HAND + HEAD,
    "deeplab_v3": RESNET50 + ASPP_BY_HAND + HEAD,
    "deeplab_v3plus": RESNET50
    + ASPP_BY_HAND
    + normalised(256, 48)
    + normalised(304, 256, 3)
    + normalised(256, 256, 3)
    + HEAD,
    "rae_d": RAE_D,
    "fstf_net": RAE_D + VGG_BRANCH + normalised(256 + 512, 256),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_trainable_parameters_by_hand(name):
    assert networks.describe(name, CHANNELS[name], CLASSES)["trainable"] == BY_HAND[name]


def test_trainable_parameters_of_the_other_fusions_by_hand():
    summed, stacked = (
        networks.describe("fstf_net", 7, CLASSES, fusion=fusion)["trainable"] for fusion in ("sum", "stack")
    )
    assert summed == RAE_D + VGG_BRANCH + normalised(512, 256)
    assert stacked == RAE_D + 4 * 64 * 7 * 7  # four more bands into conv1


def test_basic_fcn_is_vgg11_without_fully_connected_layers():
    # 132,868,840: the well-known count of VGG-11 with batch norm and 1000 classes.
    vgg11 = 132_868_840 - (25088 * 4096 + 4096) - (4096 * 4096 + 4096) - (4096 * 1000 + 1000)
    assert networks.describe("basic_fcn", 3, CLASSES)["trainable"] == vgg11 + 512 * CLASSES + CLASSES


# --- strides and atrous rates
# ------------------------------------------------------------------------------------------


def test_resnet50_goes_down_to_a_sixteenth_and_plain_to_a_thirty_second():
    windows = torch.randn(1, 3, 64, 128)
    for atrous, deepest in ((STRIDE_16, (4, 8)), (PLAIN, (2, 4))):
        model = ResNet50(3, 0.125, atrous).eval()
        assert [maps.shape[1:] for maps, _ in model(windows)] == [
            (32, 16, 32),
            (64, 8, 16),
            (128, 4, 8),
            (256, *deepest),
        ]


@pytest.mark.parametrize(("atrous", "times"), [(STRIDE_16, 2), (STRIDE_8, 4)])
def test_atrous_blocks_are_the_plain_ones_computed_more_densely(atrous, times):
    torch.manual_seed(0)
    plain = with_random_norms(ResNet50(3, 0.125, PLAIN)).double()
    dense = ResNet50(3, 0.125, atrous).double().eval()
    dense.load_state_dict(plain.state_dict())
    windows = torch.randn(2, 3, 128, 192).double()
    with torch.no_grad():
        (at_stride, _), (at_32, _) = dense(windows)[-1], plain(windows)[-1]
    torch.testing.assert_close(at_stride[..., ::times, ::times], at_32)
    assert at_32.std() > 0


@pytest.mark.parametrize(
    ("name", "rates"),
    [("aspp", (1, 2, 2)), ("deeplab_v3", (2, 4, 8)), ("deeplab_v3plus", (1, 2, 2)), ("rae_d", (1, 2, 2))],
)
def test_bottlenecks_of_block_4_reach_as_far_as_their_rates(name, rates):
    block = small(name).eval().resnet.blocks[3]
    assert [offsets_seen(bottleneck.residual, 64, reach=9) for bottleneck in block] == [
        {-rate, 0, rate} for rate in rates
    ]


def test_views_of_aspp_reach_1_6_12_and_18():
    torch.manual_seed(0)
    aspp = ASPP(8, 0.125).eval()
    assert [offsets_seen(view, 8, reach=20) for view in aspp.pyramid] == [
        {0},
        {-6, 0, 6},
        {-12, 0, 12},
        {-18, 0, 18},
    ]


def test_image_view_of_aspp_is_pooled_before_its_convolution():
    torch.manual_seed(0)
    aspp = with_random_norms(ASPP(8, 0.125)).double()
    maps = torch.randn(2, 8, 5, 7).double()
    convolve, norm = aspp.image
    pooled = torch.einsum("ncrq,kc->nk", maps, convolve.weight[:, :, 0, 0]) / 35
    expected = (pooled - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    seen = []
    aspp.reduce.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        aspp(maps)
    torch.testing.assert_close(
        seen[0][:, -aspp.outputs :], expected.detach().relu()[..., None, None].expand(-1, -1, 5, 7)
    )


def test_one_window_of_one_cell_trains_the_image_view():
    aspp = ASPP(8, 0.125).train()
    assert aspp(torch.randn(1, 8, 2, 2)).isfinite().all()


@pytest.mark.parametrize(
    ("name", "stride", "maps"),
    [("basic_fcn", 32, "score"), ("aspp", 16, "aspp"), ("rae_d", 16, "aspp"), ("fstf_net", 16, "vgg")],
)
def test_deepest_maps_lie_at_the_stated_stride(name, stride, maps):
    model, sizes = small(name).eval(), []
    getattr(model, maps).register_forward_hook(
        lambda _module, _inputs, answer: sizes.append(answer.shape[-2:])
    )
    model(torch.randn(1, CHANNELS[name], 96, 160))
    assert sizes == [(96 // stride, 160 // stride)]


def test_skips_are_the_first_convolutions_of_the_named_bottlenecks():
    model = small("rae_d").eval()
    made, joined = {}, {}
    for label, bottleneck in (
        ("join8", model.resnet.blocks[1][4 - 1]),
        ("join4", model.resnet.blocks[0][3 - 1]),
    ):
        bottleneck.reduce.register_forward_hook(
            lambda _module, _inputs, answer, label=label: made.update({label: answer})
        )
        getattr(model, label).register_forward_hook(
            lambda _module, inputs, _answer, label=label: joined.update({label: inputs[1]})
        )
    model(torch.randn(1, 3, 64, 96))
    assert all(made[label] is joined[label] for label in ("join8", "join4"))
    assert (joined["join8"].shape, joined["join4"].shape) == ((1, 16, 8, 12), (1, 8, 16, 24))


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_logits_have_the_size_of_the_window(name, size):
    model = small(name)
    windows = torch.randn(1, CHANNELS[name], *size)
    for mode in (True, False):
        logits = model.train(mode)(windows)
        assert logits.shape == (1, CLASSES, *size)
        assert logits.isfinite().all()


# --- fusion
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_channel_reaches_the_logits_and_gradients_reach_both_branches(fusion):
    model = small("fstf_net", fusion=fusion).train()
    windows = torch.randn(2, 7, 64, 64, requires_grad=True)
    functional.cross_entropy(model(windows), torch.randint(0, CLASSES, (2, 64, 64))).backward()
    assert (windows.grad.abs().sum(dim=(0, 2, 3)) > 0).all()
    branches = {"stack": ["resnet"]}.get(fusion, ["resnet", "vgg"])
    for branch in branches:
        for label, parameter in getattr(model, branch).named_parameters():
            assert parameter.ndim == 1 or parameter.grad.abs().max() > 0, label
    assert hasattr(model, "vgg") == ("vgg" in branches)


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_without_the_second_branchs_weights_only_the_spectral_channels_count(fusion):
    model = small("fstf_net", fusion=fusion).eval()
    windows = torch.randn(1, 7, 64, 64)
    other_terrain, other_colours = windows.clone(), windows.clone()
    other_terrain[:, 3:] = torch.randn(1, 4, 64, 64)
    other_colours[:, :3] = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(model(other_terrain), model(windows))
        for parameter in model.vgg.parameters():
            parameter.zero_()
        assert torch.equal(model(other_terrain), model(windows))
        assert not torch.allclose(model(other_colours), model(windows))


def test_sum_with_a_silent_second_branch_is_rae_d():
    model, rae_d = small("fstf_net", fusion="sum").eval(), small("rae_d").eval()
    projection = model.fuse.project[0].weight
    with torch.no_grad():
        projection.zero_()
        windows = torch.randn(1, 7, 64, 64)
        weights = {
            label: value
            for label, value in model.state_dict().items()
            if not label.startswith(("vgg", "fuse"))
        }
        rae_d.load_state_dict(weights)
        torch.testing.assert_close(model(windows), rae_d(windows[:, :3]))


def test_spectral_says_where_the_branches_part():
    model = small("fstf_net", spectral=4)
    assert model.resnet.conv1[0].in_channels == 4
    assert model.vgg[0][0].in_channels == 3
    assert model(torch.randn(2, 7, 32, 32)).shape == (2, CLASSES, 32, 32)


@pytest.mark.parametrize("spectral", [0, 7, 8])
def test_a_branch_without_channels_is_refused(spectral):
    with pytest.raises(HeadscarpError, match=f"spectral={spectral} of 7 channels"):
        small("fstf_net", spectral=spectral)


def test_unknown_fusion_names_the_nearest():
    with pytest.raises(HeadscarpError, match=r"fusion 'concatt' does not exist; did you mean 'concat'"):
        small("fstf_net", fusion="concatt")


def test_dropout_stands_before_the_classifier_and_can_be_switched_off():
    windows = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal((model := small("rae_d", dropout=0.0).train())(windows), model(windows))
        assert not torch.equal((model := small("rae_d").train())(windows), model(windows))


# --- learning
# ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fusion"), [*((name, None) for name in CHANNELS), ("fstf_net", "sum"), ("fstf_net", "stack")]
)
def test_network_overfits_one_batch_of_six_classes(name, fusion):
    generator = torch.Generator().manual_seed(1)
    # Squares of 32 pixels, which the coarsest network can draw; all six classes in each window.
    coarse = torch.stack([torch.randperm(CLASSES, generator=generator).reshape(2, 3) for _ in range(2)])
    truth = coarse.repeat_interleave(32, 1).repeat_interleave(32, 2)
    windows = torch.randn(CLASSES, CHANNELS[name], generator=generator)[truth].movedim(-1, 1)
    windows = windows + 0.3 * torch.randn(windows.shape, generator=generator)
    model = small(name, **({"fusion": fusion} if fusion else {})).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    for _ in range(40):
        loss = functional.cross_entropy(model(windows), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.5 * math.log(CLASSES)
    # So fast a training outruns the running statistics of fifty batch norms in a row; they settle before the
    # network is evaluated.
    with torch.no_grad():
        for _ in range(40):
            model(windows)
        assert (model.eval()(windows).argmax(1) == truth).float().mean() > 0.8
