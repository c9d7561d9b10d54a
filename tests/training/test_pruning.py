import pytest
import torch

from deepcr_ccd import load_model
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.unet import UNet
from deepcr_ccd.training.pruning import prune_channels


@pytest.mark.parametrize("skip", ["add", "concatenate"])
@pytest.mark.parametrize("levels", [1, 3])
def test_channels_without_output_are_pruned_first(rng, skip, levels):
    """A network with some channels of zeros is the same without them."""
    width = [6, 5, 7][:levels]
    arguments = {"width": width, "levels": levels, "stem": 2, "skip": skip}
    network = UNet(**arguments)
    torch.manual_seed(3)
    layers = []
    for block in [*network.down, *network.merge]:
        for layer in list(block)[::2]:
            layers.append((layer.weight, layer.bias))
    layers += [(up.weight.transpose(0, 1), up.bias) for up in network.up]
    with torch.no_grad():
        for weight, bias in layers:
            for number in (1, 4):
                weight[number] = bias[number] = 0
    described = ModelCard(
        name="large",
        task="mask",
        architecture="unet",
        arguments=arguments,
        unit=None,
        transform="noise",
    )
    large = Model(described, network, device="cpu")
    frames = torch.as_tensor(rng.normal(0, 3, (2, 1, 32, 32)))
    fewer = [number - 2 for number in width]
    small = prune_channels(large, fewer, frames)
    assert small.card.arguments == {**arguments, "width": fewer}
    x = frames.float()
    with torch.inference_mode():
        expected, got = large.network(x), small.network(x)
    assert expected.std() > 0
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match="width=.* must have a number for each level"):
        prune_channels(large, [9] * levels, frames)
    with pytest.raises(ValueError, match="frames must hold one"):
        prune_channels(large, fewer, [])


def test_only_detection_networks_are_pruned():
    fill = load_model("universal-inpaint")
    with pytest.raises(ValueError, match="must have a U-Net"):
        prune_channels(fill, [8, 8], [torch.zeros(1, 8, 8)])
