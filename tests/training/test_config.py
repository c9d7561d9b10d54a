import dataclasses

import numpy as np
import pytest
from astropy.io import fits
from sample_files import series

from deepcr_ccd import cosmicray_probability, load_model
from deepcr_ccd.cli import main
from deepcr_ccd.training import config
from deepcr_ccd.training.config import ENTRIES, read_config, train_from_config
from deepcr_ccd.training.fit import Recipe

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
    assert model.card.parent == "universal"
    assert model.card.fill == "universal-inpaint"
    frames, charges = series(1, seed=9)
    p = cosmicray_probability(frames[0], model=model)
    assert np.median(p[charges[0] > 200]) > 0.9
    assert (p[charges[0] < 1] > 0.5).mean() < 0.01
    # It goes on where it was; there is nothing left to do.
    assert main(["train", str(path), "--device", "cpu"]) == 0
    assert "resumed at step 6" in capsys.readouterr().out


def test_star_widths_are_an_input_of_training_as_of_use(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(
        config, "train_model", lambda dataset, *_, **__: seen.append(dataset[0])
    )
    path = folder / "config.toml"
    path.write_text(CONFIG.format(data='gain = "GAIN"'))
    for start in ("universal", "ACS-WFC"):
        path.write_text(
            CONFIG.format(data="").replace("[model]", f'[model]\nstart = "{start}"')
        )
        train_from_config(path, report=print)
    told, plain = ("code" in item for item in seen)
    assert told == ("star_widths" in load_model("universal").card.arguments)
    assert not plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\nsets = [", "is not a TOML file"),
        (
            "[dada]\nsets = []",
            r"\[dada\] is unknown; did you mean 'data'\?",
        ),
        ("[data]\nset = []", r"'set' in \[data\] is unknown; did you mean 'sets'\?"),
        ("[data]\nxyz = 1", r"'xyz' in \[data\] is unknown; allowed are core"),
        ("data = 3", r"'data' must be a section, \[data\]"),
        (
            "[training]\nteacher_weight = 1",
            r"'teacher_weight' in \[training\] is unknown",
        ),
        ("[data]\nsets = [['a']]", r"\[model\] needs an entry 'name'"),
        ("[model]\nname = 'a'", r"\[data\] needs an entry 'sets'"),
    ],
)
def test_bad_configurations(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path)


@pytest.mark.parametrize(
    ("section", "entry", "message"),
    [
        (
            "training",
            "steps = '100'",
            "steps = '100' .* a whole number, 1",
        ),
        ("training", "steps = 10.5", "steps = 10.5 .* a whole number, 1 or more"),
        ("training", "steps = 0", "steps = 0 .* 1 or more"),
        ("training", "batch = true", "batch = True .* a whole number"),
        ("training", "rate = '1e-3'", "rate = '1e-3' .* a number above 0"),
        ("training", "rate = inf", "rate = inf .* a number above 0"),
        ("training", "decay = nan", "decay = nan .* 0 or more"),
        ("training", "rate = nan", "rate = nan .* a number above 0"),
        ("training", "average = 1", "average = 1 .* from 0 to below 1"),
        ("training", "workers = -1", "workers = -1 .* 0 or more"),
        ("training", "folder = 3", "folder = 3 .* a name"),
        ("model", "threshold = 50", "threshold = 50 .* between 0 and 1"),
        ("model", "threshold = '0.5'", "threshold = '0.5' .* between 0 and 1"),
        ("model", "start = false", "start = False .* a text"),
        ("model", "name = ''", "name = '' .* a name"),
        ("data", "core = '5'", "core = '5' .* a number above 0"),
        ("data", "size = 8", "size = 8 .* 16 or more"),
        ("data", "gain = 0", "gain = 0 .* above 0 or the name of a header keyword"),
        ("data", "satlevel = [1]", "satlevel = .1. .* a header keyword"),
        ("data", "unit = 1", "unit = 1 .* a name"),
        ("data", "sets = 'a*.fits'", "sets = .* a list of lists of FITS files"),
        ("data", "sets = ['a', 'b']", "sets = .* a list of lists of FITS files"),
    ],
)
def test_values_are_checked(tmp_path, section, entry, message):
    path = tmp_path / "config.toml"
    path.write_text(f"[{section}]\n{entry}\n")
    with pytest.raises(ValueError, match=message):
        read_config(path)


def test_values_that_are_right(tmp_path):
    path = tmp_path / "config.toml"
    text = "\n".join(
        [
            "[data]\nsets = [['a*.fits', 'b.fits']]",
            "gain = 2\nsatlevel = inf\ncore = 4",
            "[model]\nname = 'a'\nstart = ''\nthreshold = 0.4",
            "[training]\nfolder = 'b'\nrate = 1\nseed = 0\nclip = 2.5",
        ]
    )
    path.write_text(text)
    config = read_config(path)
    assert config["data"]["satlevel"] == np.inf
    assert config["model"]["start"] == ""
    assert config["training"] == {"folder": "b", "rate": 1, "seed": 0, "clip": 2.5}


def test_the_recipe_can_be_set():
    names = {field.name for field in dataclasses.fields(Recipe)}
    of_teachers = {"teacher_weight", "ignored_weight", "norm"}
    assert set(ENTRIES["training"]) == names - of_teachers | {"folder"}
    for field in dataclasses.fields(Recipe):
        if field.name not in of_teachers:
            types, _, holds = ENTRIES["training"][field.name]
            assert isinstance(field.default, types) and holds(field.default)


def test_sets_must_match(folder, capsys):
    path = folder / "config.toml"
    path.write_text(CONFIG.format(data="").replace("a_*", "c_*"))
    assert main(["train", str(path)]) == 1
    assert "must match two files or more" in capsys.readouterr().err
    # A link to a file is no second exposure.
    (folder / "c_0.fits").symlink_to(next(folder.glob("a_*")))
    (folder / "c_1.fits").symlink_to(folder / "c_0.fits")
    assert main(["train", str(path)]) == 1
    assert "must match two files or more" in capsys.readouterr().err


def test_pieces_must_fit_the_network(folder, capsys):
    """Which is said before any exposure is labelled."""
    path = folder / "config.toml"
    path.write_text(CONFIG.format(data="").replace("size = 64", "size = 100"))
    assert main(["train", str(path)]) == 1
    shown = capsys.readouterr()
    assert "size = 100 in [data] must be a multiple of 8" in shown.err
    assert "labelled" not in shown.out + shown.err
