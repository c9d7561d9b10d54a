import os
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    StdDevUncertainty,
    VarianceUncertainty,
)
from astropy.wcs import WCS
from hypothesis import settings

from deepcr_ccd import load_model
from deepcr_ccd.demo import simulate
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.build import build_network
from deepcr_ccd.models.sources import user_folders

# On a server the same examples each time; elsewhere new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def no_models_of_the_user(monkeypatch, tmp_path_factory):
    """Keep the models of whoever runs the tests out of them."""
    for variable in ("DEEPCR_CCD_MODELS", "DEEPCR_CCD_REGISTRY"):
        monkeypatch.delenv(variable, raising=False)
    absent = tmp_path_factory.getbasetemp() / "absent"
    monkeypatch.setattr(user_folders, "user_folder", lambda kind: absent / kind)


@pytest.fixture
def rng():
    return np.random.default_rng(42)


@pytest.fixture(scope="session")
def data_folder():
    """Real frames, kept out of the repository."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DEEPCR_CCD_DATA", default))
    if not folder.is_dir():
        pytest.skip("real frames are absent (DEEPCR_CCD_DATA)")
    return folder


@pytest.fixture(scope="session")
def acs():
    return load_model("ACS-WFC", device="cpu", precision="float32")


@pytest.fixture(scope="session")
def ccd():
    """A frame of stars and tracks in electron; tests copy it before changing it."""
    return simulate((96, 110), n_stars=8, n_tracks=6, seed=5)


def random_model(task="mask", *, levels=2, width=4, seed=0, **card):
    """A small network with random weights."""
    torch.manual_seed(seed)
    arguments = {
        "in_channels": 1 if task == "mask" else 2,
        "width": width,
        "levels": levels,
    }
    network = build_network("unet", arguments)
    fields = {"name": "random", "unit": "electron", **card}
    return Model(
        ModelCard(task=task, architecture="unet", arguments=arguments, **fields),
        network,
        device="cpu",
        precision="float32",
    )


def full_ccd(ccd, uncertainty=StdDevUncertainty):
    """A CCDData with everything it can carry."""
    array = np.full(ccd.shape, 9.0, dtype=np.float32)
    if uncertainty is VarianceUncertainty:
        array = array**2
    elif uncertainty is InverseVariance:
        array = array**-2
    wcs = WCS(naxis=2)
    wcs.wcs.crval = 10, 20
    mask = np.zeros(ccd.shape, dtype=bool)
    mask[:3, :4] = True
    header = fits.Header({"OBJECT": "M 5", "GAIN": 2.0})
    header.add_history("taken")
    return CCDData(
        ccd.data.copy(),
        unit=u.electron,
        mask=mask,
        uncertainty=uncertainty(array),
        flags=np.arange(ccd.data.size).reshape(ccd.shape),
        psf=np.ones((3, 3)),
        wcs=wcs,
        meta=header,
    )
