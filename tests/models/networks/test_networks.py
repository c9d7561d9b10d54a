import subprocess
import sys

import pytest
import torch

from deepcr_ccd.models.networks.build import build_network, restore_network
from deepcr_ccd.models.networks.unet import UNet
from deepcr_ccd.training.batch_norm import add_norm, fold_norm


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"skip": "add", "merge": 1}, {"stem": 2}])
def test_radius_is_the_farthest_pixel_that_matters(levels, options):
    # Widely positive weights keep every path open.
    net = UNet(width=2, levels=levels, **options).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1)
    size = 160
    # Within a tile on the stride, and around it.
    reach = around = 0
    core = slice(72 - 72 % net.stride, 72 - 72 % net.stride + 2 * net.stride)
    with torch.inference_mode():
        base = net(torch.zeros(1, 1, size, size, dtype=torch.double))
        for at in range(size):
            frame = torch.zeros(1, 1, size, size, dtype=torch.double)
            frame[0, 0, at, at] = 1
            change = (net(frame) - base)[0, 0]
            if 72 <= at < 72 + net.stride:
                y, x = torch.nonzero(change, as_tuple=True)
                reach = max(reach, int((y - at).abs().max()), int((x - at).abs().max()))
            if change[core, core].any():
                around = max(around, core.start - at, at + 1 - core.stop)
    assert reach == net.radius
    assert around <= net.halo < around + net.stride
    if not options:
        assert {1: (2, 1), 2: (9, 2), 3: (23, 4)}[levels] == (net.radius, net.stride)


def test_unknown_architecture_lists_the_known():
    with pytest.raises(ValueError, match="'resnet' is unknown; known: unet"):
        build_network("resnet", {})


def test_wrong_arguments():
    with pytest.raises(ValueError, match="do not fit architecture 'unet'"):
        build_network("unet", {"depth": 3})
    with pytest.raises(ValueError, match="skip='multiply' must be"):
        build_network("unet", {"skip": "multiply"})


@pytest.mark.parametrize("skip", ["add", "concatenate"])
def test_add_norm_changes_nothing_and_is_undone_by_fold_norm(skip):
    torch.manual_seed(1)
    arguments = {"width": [6, 10], "levels": 2, "stem": 2, "skip": skip}
    plain = UNet(**arguments).eval()
    frames = 3 * torch.randn(5, 1, 32, 24) + 1
    normed = add_norm(plain, arguments, frames).eval()
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in normed.modules())
    with torch.inference_mode():
        expected = plain(frames)
        torch.testing.assert_close(normed(frames), expected, rtol=1e-3, atol=1e-5)
        again = fold_norm(normed, arguments)
        torch.testing.assert_close(again(frames), expected, rtol=1e-3, atol=1e-5)
        # Its statistics are those of the frames.
        normed.train()
        got = normed(frames)
    torch.testing.assert_close(got, expected, rtol=0.02, atol=2e-3)


def test_restored_weights_are_copies_in_float32():
    arguments = {"width": 4, "levels": 2}
    network = build_network("unet", arguments)
    state = {key: value.half() for key, value in network.state_dict().items()}
    before = {key: value.clone() for key, value in state.items()}
    restored = restore_network("unet", arguments, state)
    assert {value.dtype for value in restored.parameters()} == {torch.float32}
    assert all(value.requires_grad for value in restored.parameters())
    for key, value in restored.state_dict().items():
        torch.testing.assert_close(value, before[key].float(), rtol=0, atol=0)
    with torch.no_grad():
        for value in restored.parameters():
            value.zero_()
    assert all(torch.equal(state[key], before[key]) for key in state)


def test_models_load_without_sympy():
    code = (
        "import sys, torch; before = 'sympy' in sys.modules; import deepcr_ccd;"
        "deepcr_ccd.load_model('universal');"
        "print(before, 'sympy' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    before, after = run.stdout.split()
    assert before == after
