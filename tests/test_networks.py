import pytest
import torch

from deepcr_ccd.networks import UNet, build_network


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"skip": "add", "merge": 1}, {"stem": 2}])
def test_radius_is_the_farthest_pixel_that_matters(levels, options):
    # Widely positive weights keep every path open.
    net = UNet(width=2, levels=levels, **options).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1)
    size = 160
    reach = 0
    with torch.inference_mode():
        base = net(torch.zeros(1, 1, size, size, dtype=torch.double))
        for at in range(72, 72 + net.stride):
            frame = torch.zeros(1, 1, size, size, dtype=torch.double)
            frame[0, 0, at, at] = 1
            y, x = torch.nonzero((net(frame) - base)[0, 0], as_tuple=True)
            reach = max(reach, int((y - at).abs().max()), int((x - at).abs().max()))
    assert reach == net.radius
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
