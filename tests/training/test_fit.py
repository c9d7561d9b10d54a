import dataclasses

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from scipy import ndimage

from deepcr_ccd import cosmicray_probability, load_model
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.inpainting.feature_layout import feature_layout
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.unet import UNet
from deepcr_ccd.simulation.cosmic_rays import (
    add_deposits,
    cut_deposits,
    read_lsst_darks,
    simulate_deposit,
)
from deepcr_ccd.simulation.scenes import KINDS, make_psf, make_scene, read_psf
from deepcr_ccd.training import fit
from deepcr_ccd.training import inpaint_datasets as fill_frames
from deepcr_ccd.training.batch_norm import fold_norm
from deepcr_ccd.training.datasets import Labels, SimulatedFrames, label_charge
from deepcr_ccd.training.fit import Recipe, train_model
from deepcr_ccd.training.inpaint_datasets import InpaintCutouts, InpaintFrames
from deepcr_ccd.training.labelled import LabelledFrames
from deepcr_ccd.training.preview import draw_items
from deepcr_ccd.training.pruning import narrow

ARGUMENTS = {"in_channels": 1, "width": [8, 8], "levels": 2, "stem": 2}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    scenes = np.stack([make_scene(rng, 64, "sparse") for _ in range(4)])
    deposits = [simulate_deposit(rng) for _ in range(300)]
    return SimulatedFrames(scenes, [deposits], length=4000, size=48, seed=3)


# networks


def test_stem_and_levels_of_one_width():
    net = UNet(width=[8, 8, 16], levels=3, stem=2)
    assert (net.radius, net.stride) == (47, 8)
    assert net(torch.zeros(1, 1, 32, 48)).shape == (1, 1, 32, 48)
    with pytest.raises(TypeError, match="must have an entry for each of 2"):
        UNet(width=[8, 8, 8], levels=2)


def test_radius_with_a_stem():
    net = UNet(width=2, levels=2, stem=2).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1)
    reach = 0
    with torch.inference_mode():
        base = net(torch.zeros(1, 1, 64, 64, dtype=torch.double))
        for at in range(28, 28 + net.stride):
            frame = torch.zeros(1, 1, 64, 64, dtype=torch.double)
            frame[0, 0, at, at] = 1
            y, x = torch.nonzero((net(frame) - base)[0, 0], as_tuple=True)
            reach = max(reach, int((y - at).abs().max()), int((x - at).abs().max()))
    assert reach == net.radius == 19


def test_tiles_of_a_network_with_a_stem_are_exact(rng):
    from deepcr_ccd.models.model import Model

    torch.manual_seed(2)
    card = ModelCard(
        name="n",
        task="mask",
        architecture="unet",
        arguments=ARGUMENTS,
        unit=None,
        transform="noise",
    )
    model = Model(card, UNet(**ARGUMENTS), device="cpu")
    for shape in ((1, 1), (37, 141), (90, 64)):
        frame = rng.normal(9, 3, shape)
        whole = cosmicray_probability(frame, model=model, tile_size=1000)
        for tile_size in (16, 50):
            tiled = cosmicray_probability(frame, model=model, tile_size=tile_size)
            np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_norm_is_folded():
    torch.manual_seed(0)
    net = UNet(**ARGUMENTS, norm=True)
    for _ in range(3):
        net(torch.randn(4, 1, 16, 16) * 3 + 1)
    net.eval()
    x = torch.randn(2, 1, 24, 16)
    with torch.inference_mode():
        expected = net(x)
        got = fold_norm(net, ARGUMENTS)(x)
    np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-5)


# cosmic rays


def test_simulated_deposits_are_physical():
    rng = np.random.default_rng(5)
    deposits = [simulate_deposit(rng) for _ in range(2000)]
    total = np.array([d.sum() for d in deposits])
    size = np.array([(d > 20).sum() for d in deposits])
    assert all((d >= 0).all() and d.dtype == np.float32 for d in deposits)
    # A muon straight through 10 to 250 um frees 800 to 20,000 electrons.
    assert 1500 < np.median(total) < 15000
    assert np.percentile(size, 5) <= 2
    assert np.percentile(size, 95) > 20
    long = [d for d in deposits if max(d.shape) > 30]
    assert 5 < len(long) < 200


def test_simulated_deposits_resemble_real_ones(data_folder):
    path = data_folder / "lsst_darks" / "cosmic_rays_itl_2017.fits.gz"
    real = read_lsst_darks(path)
    assert len(real) == 1764
    rng = np.random.default_rng(5)
    # These sensors have pixels of 10 um and are 100 um deep.
    simulated = [
        simulate_deposit(rng, pixel=10.0, thickness=100.0) for _ in range(2000)
    ]
    for quantity in (
        np.sum,
        np.max,
        lambda d: (d > 20).sum(),
        lambda d: max(d.shape),
    ):
        ours, theirs = (
            np.percentile([quantity(d) for d in some if d.sum() > 500], [50, 90])
            for some in (simulated, real)
        )
        assert (ours < 1.7 * theirs).all()
        assert (theirs < 1.7 * ours).all()


def test_cut_deposits_finds_what_was_put_in(rng):
    charge = np.zeros((80, 80), np.float32)
    charge[20, 20:25] = 400
    charge[19, 22] = 20
    charge[50, 60] = 300
    charge[0, 5] = 1000
    charge[70, 70] = 25
    excess = charge + rng.normal(0, 5, charge.shape)
    deposits = cut_deposits(excess, 5.0, core=6, grow=3)
    assert len(deposits) == 2
    assert deposits[0].shape == (2, 5)
    assert abs(deposits[0].sum() - 2020) < 60
    assert abs(deposits[1].max() - 300) < 25


def test_add_deposits_keeps_the_charge(rng):
    deposit = np.array([[1, 2, 3]], np.float32)
    frame = np.zeros((40, 40))
    total = sum(add_deposits(frame, [deposit], rng, 10).sum() for _ in range(50))
    # A few fall across the edge.
    assert 0.85 * 3000 < total <= 3000


# scenes


@pytest.mark.parametrize("kind", KINDS)
def test_scenes(kind):
    for seed in range(3):
        scene = make_scene(np.random.default_rng(seed), 96, kind)
        assert scene.shape == (96, 96)
        assert scene.dtype == np.float32
        assert (scene >= 0).all()
        assert np.isfinite(scene).all()
        again = make_scene(np.random.default_rng(seed), 96, kind)
        np.testing.assert_array_equal(scene, again)


def test_psf_has_the_width_it_says():
    for seed in range(8):
        psf, fwhm = make_psf(np.random.default_rng(seed))
        assert psf.sum() == pytest.approx(1, rel=1e-4)
        above = (psf > psf.max() / 2).sum() / 16
        assert 2 * np.sqrt(above / np.pi) == pytest.approx(fwhm, rel=0.35)


def write_psf(path, width, size=61):
    """Write an elongated star of a width in px, a quarter of a pixel off its centre."""
    y, x = np.mgrid[:size, :size] - size // 2
    star = np.exp(-(((x - 0.25) / width) ** 2) / 2 - (y / width / 1.2) ** 2 / 2)
    fits.writeto(path, star / star.sum())
    return star / star.sum()


def test_psf_of_a_file_is_what_pixels_see(tmp_path):
    star = write_psf(tmp_path / "psf.fits", 1.0)
    psf = read_psf(tmp_path / "psf.fits", size=21)
    assert psf.shape == (81, 81)
    np.testing.assert_allclose(psf[::4, ::4], star[20:41, 20:41], atol=1e-4)
    # However a star lies in its pixel, all of its light is seen.
    for phase in range(4):
        assert psf[phase::4, phase::4].sum() == pytest.approx(1, rel=2e-3)


def test_psf_of_a_file_binned(tmp_path):
    write_psf(tmp_path / "psf.fits", 4.0)
    sharp = read_psf(tmp_path / "psf.fits", binning=4, size=15)
    y, x = np.mgrid[:61, :61] / 4 - 30 / 4
    expected = np.exp(-((x - 0.06) ** 2) / 2 - (y / 1.2) ** 2 / 2)
    expected *= 16 / expected.sum()
    middle = np.s_[4:-4, 4:-4]
    # A pixel four times as wide widens it by 4 %.
    np.testing.assert_allclose(
        psf_width(sharp), psf_width(expected[2:-2, 2:-2]) * 1.04, rtol=0.03
    )
    assert sharp[middle].sum() == pytest.approx(expected[middle].sum(), rel=0.02)


def psf_width(psf):
    """Return the second moment of a star along x, in fine pixels."""
    x = np.arange(psf.shape[1])
    share = psf.sum(axis=0) / psf.sum()
    return np.sqrt(share @ (x - share @ x) ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_through_a_given_psf(kind, tmp_path):
    write_psf(tmp_path / "psf.fits", 0.6)
    psf = read_psf(tmp_path / "psf.fits")
    shares = []
    for seed in range(5):
        made = make_scene(np.random.default_rng(seed), 96, kind)
        scene = make_scene(np.random.default_rng(seed), 96, kind, psf)
        assert scene.shape == (96, 96)
        assert (scene >= 0).all()
        assert np.array_equal(scene, made) == (kind == "spectrum")
        shares.append(scene.sum() / made.sum())
    # The same sources, in other pixels: as much light, but for stars at an edge.
    assert np.median(shares) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("image", [np.zeros((5, 5)), np.ones(5)])
def test_no_psf(image, tmp_path):
    fits.writeto(tmp_path / "psf.fits", image)
    with pytest.raises(ValueError, match="no point spread function"):
        read_psf(tmp_path / "psf.fits")


# labels and dataset


def test_labels():
    charge = np.zeros((20, 20))
    charge[5, 5:9] = 10, 2, 0.7, 0.3
    charge[15, 15] = 2
    truth, ignore = label_charge(charge, np.ones_like(charge))
    assert truth[5, 5:9].tolist() == [True, True, True, False]
    assert ignore[5, 5:9].tolist() == [False, False, False, True]
    assert (truth[15, 15], ignore[15, 15]) == (False, True)
    assert truth.sum() == 3
    assert ignore.sum() == 2
    truth, _ = label_charge(charge, np.ones_like(charge), Labels(struck=5))
    assert truth.sum() == 1


def test_items_depend_on_seed_and_number_alone(data):
    loaders = [
        torch.utils.data.DataLoader(data, 4, sampler=range(8, 24), num_workers=n)
        for n in (0, 2)
    ]
    for one, two in zip(*loaders, strict=True):
        for key in one:
            assert torch.equal(one[key], two[key])
    item = data[8]
    assert item["frame"].shape == (1, 48, 48)
    assert not (item["truth"] & item["ignore"]).any()
    assert not torch.equal(item["frame"], data[9]["frame"])


def test_struck_pixels_stand_out(data):
    inside, outside = [], []
    for i in range(40):
        item = data[i]
        inside.append(item["frame"][0][item["truth"]])
        outside.append(item["frame"][0][~item["truth"] & ~item["ignore"]])
    assert torch.cat(inside).median() > 1.5
    assert abs(torch.cat(outside).median()) < 0.3


def test_size_must_fit_the_scenes(data):
    with pytest.raises(ValueError, match="size=100 is more than scenes have"):
        SimulatedFrames(data.scenes, data.deposits, length=1, size=100)


# fit


def card(name="small"):
    return ModelCard(
        name=name,
        task="mask",
        architecture="unet",
        arguments=ARGUMENTS,
        unit=None,
        transform="noise",
    )


def test_training_learns_and_resumes_exactly(data, tmp_path):
    recipe = Recipe(
        steps=160, batch=8, rate=1e-2, warmup=5, workers=0, checkpoint_every=80
    )
    # Scores may be of NumPy, which checkpoints are not read with.
    options = {
        "recipe": recipe,
        "device": "cpu",
        "validate": lambda _: {"score": np.float64(1.5)},
    }
    whole = train_model(data, card(), tmp_path / "a", **options)
    lines = []

    class StopError(Exception):
        pass

    def stop(line):
        lines.append(line)
        if len(lines) == 2:
            raise StopError

    with pytest.raises(StopError):
        train_model(data, card(), tmp_path / "b", report=stop, **options)
    # Ended in the middle: the checkpoint of step 80 is there, that of step 160 is not.
    resumed = train_model(data, card(), tmp_path / "b", report=lines.append, **options)
    assert "resumed at step 80" in lines
    for one, two in zip(
        whole.network.parameters(), resumed.network.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    history = Table.read(tmp_path / "b" / "history.ecsv")
    assert history["step"].tolist() == [80, 160]
    assert history["loss"][1] < 0.75 * history["loss"][0]
    saved = load_model(tmp_path / "b" / "small.safetensors", device="cpu")
    roc = RocCurve()
    for i in range(500, 520):
        seen = data.observe(np.random.default_rng([1, i]))
        probability = cosmicray_probability(seen.frame, model=saved)
        roc.add(probability, seen.truth, seen.ignore)
    assert roc.tpr_at(0.02) > 0.5


def test_dataset_must_be_long_enough(data, tmp_path):
    with pytest.raises(ValueError, match="dataset has 4000 items"):
        train_model(data, card(), tmp_path, recipe=Recipe(steps=1000))


def test_crops_of_labelled_frames(rng):
    frame = rng.normal(100, 5, (70, 90))
    truth = np.zeros(frame.shape, dtype=bool)
    truth[60, 80] = True
    frame[60, 80] = 5000
    ignore = np.zeros_like(truth)
    data = LabelledFrames([(frame, truth, ignore)], length=60, size=32, seed=1)
    items = [data[i] for i in range(60)]
    assert sum(bool(item["truth"].any()) for item in items) >= 25
    for item in items:
        assert item["frame"].shape == (1, 32, 32)
        assert (item["frame"][0][item["truth"]] > 5).all()
    assert torch.equal(data[7]["frame"], items[7]["frame"])
    with pytest.raises(ValueError, match=r"frames\[0\] has shape \(70, 90\)"):
        LabelledFrames([(frame, truth, ignore)], length=1, size=80)
    with pytest.raises(ValueError, match="one or more"):
        LabelledFrames([], length=1)


def test_fine_tuning_starts_from_a_model(data, tmp_path):
    recipe = Recipe(steps=20, batch=8, rate=5e-3, workers=0, checkpoint_every=20)
    first = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    still = Recipe(steps=1, batch=2, rate=0.0, decay=0.0, workers=0)
    again = train_model(
        data, card("tuned"), tmp_path / "b", recipe=still, start=first, device="cpu"
    )
    for one, two in zip(
        first.network.parameters(), again.network.parameters(), strict=True
    ):
        assert torch.equal(one, two)
    assert again.card.name == "tuned"
    other = ModelCard(name="o", task="mask", architecture="unet")
    with pytest.raises(ValueError, match="start='tuned' is another network"):
        train_model(data, other, tmp_path / "c", recipe=still, start=again)


def test_fine_tuning_keeps_what_labels_leave_open(data, tmp_path):
    """A model does not forget cosmic rays where it is told of clean pixels alone."""
    recipe = Recipe(steps=80, batch=8, rate=5e-3, workers=0, checkpoint_every=80)
    first = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    rng = np.random.default_rng(4)
    frame = rng.normal(100, 5, (96, 96))
    open_ = rng.random(frame.shape) < 0.005
    frame[open_] += 400
    told = LabelledFrames(
        [(frame, np.zeros_like(open_), ndimage.binary_dilation(open_, iterations=4))],
        length=400,
        size=64,
        seed=1,
    )
    tuning = Recipe(steps=100, batch=4, rate=2e-3, workers=0, warmup=0)
    tuned = train_model(
        told, card(), tmp_path / "b", recipe=tuning, start=first, device="cpu"
    )
    before, after = (model.probability(frame)[open_].mean() for model in (first, tuned))
    assert before > 0.3
    # Without, it forgets all: to 0.0003 of what it was.
    assert after > 0.2 * before


def test_a_teacher_says_what_labels_do_not(data, tmp_path):
    """Its word counts as much as it shall; alone where labels leave a pixel open."""
    recipe = Recipe(steps=80, batch=8, rate=5e-3, workers=0, checkpoint_every=80)
    teacher = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    rng = np.random.default_rng(4)
    frame = rng.normal(100, 5, (96, 96))
    struck = rng.random(frame.shape) < 0.005
    frame[struck] += 400
    clean, every = np.zeros_like(struck), np.ones_like(struck)
    smaller = dataclasses.replace(
        card("pupil"), arguments={**card().arguments, "width": [4, 8]}
    )

    def pupil(folder, ignore, taught):
        told = LabelledFrames([(frame, clean, ignore)], length=640, size=64, seed=1)
        recipe = Recipe(
            steps=150, batch=4, rate=2e-2, warmup=5, workers=0, taught=taught
        )
        folder = tmp_path / folder
        model = train_model(told, smaller, folder, recipe=recipe, teacher=teacher)
        return model.probability(frame)[struck].mean()

    assert teacher.probability(frame)[struck].mean() > 0.3
    # The labels lie: there are no cosmic rays. Without a teacher they are believed.
    assert pupil("b", clean, 0.0) < 0.05
    assert pupil("c", clean, 1.0) > 0.2
    assert pupil("d", every, 0.0) > 0.2
    # It may begin with the teacher's own channels, the first time as they are.
    frames = [data[number]["frame"] for number in range(8)]
    start = narrow(teacher, [4, 8], frames)
    still = Recipe(steps=1, batch=2, rate=0.0, decay=0.0, workers=0)
    options = {"recipe": still, "start": start, "teacher": teacher}
    again = train_model(data, smaller, tmp_path / "f", **options)
    expected, got = (model.probability(frame) for model in (start, again))
    np.testing.assert_allclose(got, expected, atol=0.02)
    linear = dataclasses.replace(smaller, transform="scaled")
    with pytest.raises(ValueError, match="teacher='small' must find cosmic rays, with"):
        train_model(data, linear, tmp_path / "e", recipe=recipe, teacher=teacher)


def test_a_teacher_that_looks_at_quarter_turns(data, tmp_path):
    """Each step asks for one of them; their mean is what the teacher says."""
    recipe = Recipe(steps=1, batch=2, workers=0)
    plain = train_model(data, card(), tmp_path / "a", recipe=recipe, device="cpu")
    turning = Model(dataclasses.replace(plain.card, turns=4), plain.network)
    frames = torch.stack([data[number]["frame"] for number in range(4)])
    asked = torch.stack([fit._ask(plain.network, frames, turn) for turn in range(4)])
    assert asked.std(dim=0).max() > 1e-3
    run = turning.to(precision="float32", engine="torch")._run
    expected = np.stack([run(frame.numpy()) for frame in frames])
    np.testing.assert_allclose(asked.mean(dim=0), expected, atol=0.02)
    steps, seen = 6, []
    told = Recipe(steps=steps, batch=1, workers=0)
    ask = fit._ask

    def listen(network, frame, turn):
        seen.append(turn)
        return ask(network, frame, turn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_ask", listen)
        for folder, teacher in (("b", plain), ("c", turning)):
            options = {"recipe": told, "teacher": teacher, "device": "cpu"}
            train_model(data, card(), tmp_path / folder, **options)
    assert seen == [0] * steps + [1, 2, 3, 0, 1, 2]


def test_network_that_fills(data, tmp_path):
    frames = InpaintFrames(data.scenes, data.deposits, length=4000, size=48, seed=3)
    item = next(item for item in frames if item["mask"].any())
    assert item["frame"].shape == (2, 48, 48)
    mask = item["mask"]
    assert (item["frame"][0][mask] == 0).all()
    assert torch.equal(item["frame"][1], mask.float())
    recipe = Recipe(
        steps=120, batch=8, rate=5e-3, warmup=5, workers=0, checkpoint_every=60
    )
    filling = ModelCard(
        name="filler",
        task="inpaint",
        architecture="unet",
        arguments={**ARGUMENTS, "in_channels": 2},
        unit=None,
        transform="noise",
    )
    model = train_model(frames, filling, tmp_path, recipe=recipe, device="cpu")
    history = Table.read(tmp_path / "history.ecsv")
    assert history["loss"][1] < history["loss"][0]
    rng = np.random.default_rng(1)
    frame = rng.normal(200, 10, (64, 64)).astype(np.float32)
    target = np.zeros(frame.shape, dtype=bool)
    target[20:23, 20:23] = True
    frame[target] = 9000
    filled, _ = model.fill(frame, target)
    assert np.abs(filled - 200).max() < 15


def test_cutouts_are_of_masked_pixels(data):
    known = {"length": 4000, "size": 48, "seed": 3, "radius": 4, "number": 50}
    items = InpaintCutouts(data.scenes, data.deposits, **known)
    item = next(item for item in items if item["mask"].all())
    layout = feature_layout(4)
    assert item["frame"].shape == (50, layout.size)
    values, good = item["frame"][:, layout.values], item["frame"][:, layout.good]
    # The pixel itself is masked, and masked pixels have no value here.
    assert (good[:, 40] == 0).all()
    assert (values[good == 0] == 0).all()
    assert (good.mean(1) > 0.1).all()
    # Its value is another feature, but not in each item.
    pixel, is_cr = (
        item["frame"][:, place] for place in (layout.centre_value, layout.centre_is_cr)
    )
    assert (is_cr == is_cr[0]).all()
    assert (pixel[is_cr == 1] > -5).all()
    every = {items[i]["frame"][0, layout.centre_is_cr].item() for i in range(40)}
    assert every == {0, 1}
    again = items[0]
    for key, value in items[0].items():
        assert torch.equal(value, again[key])
    loader = torch.utils.data.DataLoader(items, 4, sampler=range(8), num_workers=2)
    assert torch.equal(next(iter(loader))["target"][2], items[2]["target"])


@pytest.mark.parametrize(("structure", "fraction"), [(2.0, 0.7), (0.5, 0.1)])
def test_star_templates_are_fitted_on_structure(data, structure, fraction, monkeypatch):
    """Some are, where the frame has stars; in use, where a fill may be far off."""
    monkeypatch.setattr(
        fill_frames, "_structure", lambda seen: np.full(seen.frame.shape, structure)
    )
    known = {"length": 40, "size": 48, "seed": 3, "radius": 4, "number": 200}
    items = InpaintCutouts(data.scenes, data.deposits, **known)
    found = feature_layout(4).fits[0].found
    fractions = [items[i]["frame"][:, found].mean().item() for i in range(40)]
    assert max(fractions) == pytest.approx(fraction, abs=0.1)


def test_cutout_networks_learn_to_fill(data, tmp_path):
    known = {"length": 2400, "size": 48, "seed": 3, "radius": 3, "number": 256}
    rng = np.random.default_rng(2)
    scenes = 30 * np.stack([make_scene(rng, 64, "cluster") for _ in range(8)])
    items = InpaintCutouts(scenes, data.deposits, **known)
    recipe = Recipe(
        steps=300, batch=8, rate=5e-3, warmup=5, workers=0, checkpoint_every=10
    )
    filling = ModelCard(
        name="filler",
        task="inpaint",
        architecture="window",
        arguments={"radius": 3, "width": [64]},
        unit=None,
        transform="window",
    )
    model = train_model(items, filling, tmp_path, recipe=recipe, device="cpu")
    errors = np.zeros(2)
    for i in range(2400, 2460):
        item = items[i]
        target = item["target"][item["mask"]]
        predicted = model.network(item["frame"][item["mask"]])[:, 0]
        for j, error in enumerate((target - predicted, target)):
            errors[j] += (error**2).clamp(max=25).sum().item()
    # Nearer than the mean of the cutout, which is zero.
    assert errors[0] < 0.85 * errors[1]
    assert not (tmp_path / "items.png").exists()


def test_pictures_of_items(data, tmp_path):
    pytest.importorskip("matplotlib")
    from matplotlib import image

    batch = torch.utils.data.default_collate([data[i] for i in range(3)])
    output = torch.where(batch["truth"], 9.0, -9.0)
    assert draw_items(batch, output, tmp_path / "items.png")
    whole = image.imread(tmp_path / "items.png")
    assert draw_items(batch, -output, tmp_path / "items.png")
    other = image.imread(tmp_path / "items.png")
    # The last third shows what is found, and nothing else has changed.
    third = len(whole) // 3
    assert np.abs(whole - other)[2 * third + 20 :].mean() > 0.3
    np.testing.assert_array_equal(whole[: 2 * third - 20], other[: 2 * third - 20])


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
    small = narrow(wide, fewer, frames)
    assert small.card.arguments == {**arguments, "width": fewer}
    x = frames.float()
    with torch.inference_mode():
        expected, got = wide.network(x), small.network(x)
    assert expected.std() > 0
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match="width=.* must have a number for each level"):
        narrow(wide, [9] * levels, frames)
    with pytest.raises(ValueError, match="frames must hold one"):
        narrow(wide, fewer, [])


def test_narrow_takes_networks_that_find():
    fill = load_model("universal-inpaint")
    with pytest.raises(ValueError, match="must have a U-Net"):
        narrow(fill, [8, 8], [torch.zeros(1, 8, 8)])
