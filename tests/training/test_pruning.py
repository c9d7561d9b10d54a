import pytest
import torch

from deepcr_ccd import load_model
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.unet import UNet
from deepcr_ccd.training.pruning import prune_channels


@pytest.mark.parametrize("skip", ["add", "concatenate"])
@pytest.mark.parametrize("levels", [1, 3])
def test_narrow_leaves_out_channels_that_say_nothing(rng, skip, levels):
    """A network that is silent in some channels is the same without them."""
    width = [6, 5, 7][:levels]
    arguments = {"width": width, "levels": levels, "stem": 2, "skip": skip}
    network = UNet(**arguments)
    torch.manual_seed(3)
    quiet = []
    for block in [*network.down, *network.merge]:
        for layer in list(block)[::2]:
            quiet.append((layer.weight, layer.bias))
    quiet += [(up.weight.transpose(0, 1), up.bias) for up in network.up]
    with torch.no_grad():
        for weight, bias in quiet:
            for number in (1, 4):
                weight[number] = bias[number] = 0
    described = ModelCard(
        name="wide",
        task="mask",
        architecture="unet",
        arguments=arguments,
        unit=None,
        transform="noise",
    )
    wide = Model(described, network, device="cpu")
    frames = torch.as_tensor(rng.normal(0, 3, (2, 1, 32, 32)))
    fewer = [number - 2 for number in width]
    small = prune_channels(wide, fewer, frames)
    assert small.card.arguments == {**arguments, "width": fewer}
    x = frames.float()
    with torch.inference_mode():
        expected, got = wide.network(x), small.network(x)
    assert expected.std() > 0
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match="width=.* must have a number for each level"):
        prune_channels(wide, [9] * levels, frames)
    with pytest.raises(ValueError, match="frames must hold one"):
        prune_channels(wide, fewer, [])


def test_narrow_takes_networks_that_find():
    fill = load_model("universal-inpaint")
    with pytest.raises(ValueError, match="must have a U-Net"):
        prune_channels(fill, [8, 8], [torch.zeros(1, 8, 8)])
