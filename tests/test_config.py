import numpy as np
import pytest
from astropy.io import fits
from test_labels import series

from deepcr_ccd import cosmicray_probability, load_model
from deepcr_ccd.cli import main
from deepcr_ccd.training.config import read_config

CONFIG = """
[data]
sets = [["a_*.fits"], ["b_1.fits", "b_2.fits"]]
size = 64
{data}
[model]
name = "mine"
instrument = "my camera"
[training]
folder = "run"
steps = 6
batch = 4
workers = 0
"""


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate("ab"):
        for number, frame in enumerate(series(2, seed=seed)[0], start=1):
            hdu = fits.PrimaryHDU((frame / 2).astype(np.float32))
            hdu.header["BUNIT"] = "adu"
            hdu.header["GAIN"] = 2.0
            hdu.writeto(tmp_path / f"{name}_{number}.fits")
    return tmp_path


def test_a_model_for_my_camera(folder, capsys):
    path = folder / "config.toml"
    path.write_text(CONFIG.format(data='gain = "GAIN"'))
    assert main(["train", str(path), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "4 frames labelled" in out
    model = load_model(folder / "run" / "mine.safetensors", device="cpu")
    assert model.card.instrument == "my camera"
    assert model.card.training_data == "4 exposures in 2 sets, starting from universal"
    frames, charges = series(1, seed=9)
    p = cosmicray_probability(frames[0], model=model)
    assert np.median(p[charges[0] > 200]) > 0.9
    assert (p[charges[0] < 1] > 0.5).mean() < 0.01
    # It goes on where it was; there is nothing left to do.
    assert main(["train", str(path), "--device", "cpu"]) == 0
    assert "resumed at step 6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nsets = [", "is not a TOML file"),
        ("[dada]\nsets = []", r"section \[dada\] is unknown; allowed are data, model"),
        ("[data]\nset = []", r"'set' in \[data\] is unknown; allowed are core"),
        ("[training]\ntaught = 0.5", r"'taught' in \[training\] is unknown"),
        ("[data]\nsets = [['a']]", r"\[model\] needs an entry 'name'"),
        ("[model]\nname = 'a'", r"\[data\] needs an entry 'sets'"),
    ],
)
def test_bad_configurations(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path)


def test_sets_must_match(folder, capsys):
    path = folder / "config.toml"
    path.write_text(CONFIG.format(data="").replace("a_*", "c_*"))
    assert main(["train", str(path)]) == 1
    assert "must match two files or more" in capsys.readouterr().err
