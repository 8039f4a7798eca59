"""PSPNet: parameters, pyramid pooling, auxiliary head. What all segmentation networks share is in
test_networks.py."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.networks.pspnet import PyramidPooling

RESNET50 = 25_557_032 - (2048 * 1000 + 1000)  # trainable, 3 bands


def small(classes: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return networks.build("pspnet", 3, classes, width=0.125)


def test_parameters_by_hand():
    classes = 6

    def normalised(inputs, outputs, kernel):
        return inputs * outputs * kernel * kernel + 2 * outputs

    pyramid = 4 * normalised(2048, 512, 1)
    head = normalised(2048 + 4 * 512, 512, 3) + 512 * classes + classes
    auxiliary = normalised(1024, 256, 3) + 256 * classes + classes
    assert networks.describe("pspnet", 3, classes)["trainable"] == RESNET50 + pyramid + head + auxiliary


def test_the_encoder_has_the_output_stride_of_the_paper():
    model, seen = small().eval(), []
    model.pyramid.register_forward_hook(lambda _layer, inputs, _views: seen.append(inputs[0].shape[-2:]))
    assert model(torch.randn(1, 3, 64, 96)).shape == (1, 1, 64, 96)
    assert seen == [(8, 12)]


@pytest.mark.parametrize("size", [6, 12])
def test_pyramid_pools_then_reduces_like_the_original(size):
    torch.manual_seed(0)
    pooling, maps = PyramidPooling(8, 0.02).eval(), torch.randn(2, 8, size, size)
    for reduce in pooling.reduce:
        reduce[1].running_mean.uniform_(-1, 1)
        reduce[1].running_var.uniform_(1, 3)
    views = pooling(maps)
    assert views.shape == (2, pooling.outputs, size, size)
    torch.testing.assert_close(views[:, :8], maps)
    for bins, reduce, view in zip((1, 2, 3, 6), pooling.reduce, views[:, 8:].chunk(4, dim=1), strict=True):
        means = maps.unflatten(3, (bins, -1)).unflatten(2, (bins, -1)).mean(dim=(3, 5))
        expected = functional.interpolate(
            torch.relu(reduce(means)), size=(size, size), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(view, expected, atol=1e-5, rtol=1e-4)


def test_a_lone_window_teaches_the_coarsest_bin():
    torch.manual_seed(0)
    pooling = PyramidPooling(8, 0.125).train()
    pooling(torch.randn(1, 8, 4, 4)).square().sum().backward()
    assert all(reduce[0].weight.grad.abs().max() > 0 for reduce in pooling.reduce)


def test_auxiliary_head_answers_in_training_only():
    model, windows = small(classes=2), torch.randn(2, 3, 45, 34)
    answer = model.train()(windows)
    assert isinstance(answer, tuple)
    assert [maps.shape for maps in answer] == [(2, 2, 45, 34)] * 2
    assert isinstance(model.eval()(windows), torch.Tensor)
    assert model.auxiliary_weight == 0.4


def test_auxiliary_head_reads_block_3():
    model = small().train()
    _, auxiliary = model(torch.randn(2, 3, 32, 32))
    auxiliary.square().sum().backward()
    reached = [any(p.grad is not None for p in block.parameters()) for block in model.resnet.blocks]
    assert reached == [True, True, True, False]
    assert all(
        parameter.grad is None for part in (model.head, model.pyramid) for parameter in part.parameters()
    )
