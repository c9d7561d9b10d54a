"""deepCR itself is the oracle for its checkpoints."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from sample_files import MASKS

from deepcr_ccd import cosmicray_probability, load_model
from deepcr_ccd.demo import simulate

# The oracle builds weight_norm in a way that torch will drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")


@pytest.fixture(scope="module")
def deepcr():
    """The deepCR package, told of the checkpoints that it ships but does not list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        deepcr = pytest.importorskip("deepCR")
        import deepCR.unet_batchnorm as batch
        import learned_models
    unlisted = {f"ACS-WFC-{f}": 32 for f in ("F435W", "F606W", "F814W")}
    for name, width in {**unlisted, "ACS-WFC-F606W-2-4": 4}.items():
        scale = 100 if width == 4 else 1
        learned_models.mask_dict[name] = [
            batch.UNet2SigmoidBatchNorm,
            (1, 1, width),
            scale,
        ]
    return deepcr


def agree(deepcr, name, frame):
    theirs = deepcr.deepCR(mask=name).clean(frame, binary=False, segment=False)
    ours = cosmicray_probability(
        frame, model=name, precision="float32", satlevel=np.inf
    )
    assert ours.max() > 0.5
    edge = 10
    inside = (slice(edge, -edge), slice(edge, -edge))
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("shape", [(128, 160), (131, 98), (97, 129)])
def test_probability_is_that_of_deepcr(deepcr, name, shape):
    agree(deepcr, name, simulate(shape, n_stars=20, n_tracks=12, seed=3).data)


@pytest.mark.parametrize("name", MASKS)
def test_probability_on_a_real_frame(deepcr, name, data_folder):
    path = data_folder / "hst_wfc3_uvis" / "ibo821kvq_flt.fits"
    agree(deepcr, name, fits.getdata(path).astype(np.float32))


@pytest.mark.usefixtures("deepcr")
@pytest.mark.parametrize("levels", [2, 3])
def test_inpainting_network_is_that_of_deepcr(levels, rng):
    import torch
    from deepCR import unet_batchnorm as batch
    from learned_models import default_model_path

    frame = simulate((128, 96), n_tracks=0, seed=2).data
    mask = rng.random(frame.shape) < 0.02
    name = f"ACS-WFC-F606W-{levels}-32"
    model = load_model(name, task="inpaint", device="cpu", precision="float32")
    ours, _ = model.fill(frame, mask)
    their_class = {2: batch.UNet2BatchNorm, 3: batch.UNet3BatchNorm}[levels]
    net = batch.WrappedModel(their_class(2, 1, 32)).eval()
    state = torch.load(
        f"{default_model_path}/inpaint/{name}.pth",
        map_location="cpu",
        weights_only=True,
    )
    net.load_state_dict(state)
    planes = np.stack([frame * ~mask / 100, mask]).astype(np.float32)
    with torch.inference_mode():
        theirs = 100 * net(torch.from_numpy(planes)[None])[0, 0].numpy()
    inside = np.zeros_like(mask)
    edge = model.network.radius + 1
    inside[edge:-edge, edge:-edge] = True
    np.testing.assert_allclose(
        ours[inside[mask]], theirs[mask & inside], rtol=1e-4, atol=1e-2
    )


@pytest.mark.usefixtures("deepcr")
@pytest.mark.parametrize("name", ["ACS-WFC", "decam"])
def test_bfloat16_changes_few_pixels_of_the_mask(name):
    # A bright sky is what eight bits resolve worst.
    frame = simulate((256, 256), n_stars=40, n_tracks=60, seed=4).data + 3000
    wide, narrow = (
        cosmicray_probability(frame, model=name, device="cpu", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    threshold = load_model(name).card.threshold
    affected = wide > threshold
    assert affected.sum() > 500
    assert ((narrow > threshold) != affected).sum() < 0.01 * affected.sum()
