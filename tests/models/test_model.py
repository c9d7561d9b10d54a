import dataclasses
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model
from sample_files import make_stars

from deepcr_ccd import cosmicray_deepcr, load_model
from deepcr_ccd.inpainting import features as features_module
from deepcr_ccd.inpainting import network as filling
from deepcr_ccd.inpainting.feature_layout import feature_layout
from deepcr_ccd.inpainting.template_fit import fit_star_templates
from deepcr_ccd.models.engines import devices, torch_engine
from deepcr_ccd.models.engines.devices import resolve_device, resolve_precision
from deepcr_ccd.models.engines.precision import reduce_precision
from deepcr_ccd.models.engines.torch_engine import fuse
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.models.networks.build import build_network
from deepcr_ccd.tiling.workers import (
    PARALLEL_PIXELS,
    TILES_PER_THREAD,
    choose_tile_size,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


def test_save_and_load(tmp_path, rng):
    model = random_model(threshold=0.3, filters=["g"], scores={"tpr": 0.9})
    path = tmp_path / "mine.safetensors"
    model.save(path)
    loaded = Model.load(path, device="cpu", precision="float32")
    sha256 = loaded.card.sha256
    assert loaded.card == dataclasses.replace(model.with_test().card, sha256=sha256)
    frame = rng.normal(size=(40, 40)).astype(np.float32)
    np.testing.assert_array_equal(loaded.probability(frame), model.probability(frame))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.safetensors"]


def test_truncated_file(tmp_path):
    path = tmp_path / "mine.safetensors"
    random_model().save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        Model.load(path)


def test_foreign_files(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="has no model card"):
        Model.load(path)
    save_file({"a": torch.zeros(2)}, path, {"card": random_model().card.to_json()})
    with pytest.raises(ValueError, match="tensors do not fit its card"):
        Model.load(path)
    save_file({"a": torch.zeros(2)}, path, {"card": "{"})
    with pytest.raises(ValueError, match="not a model card"):
        Model.load(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        Model.load(tmp_path / "nowhere.safetensors")


def test_cards_of_later_versions_are_read():
    card = random_model().card
    fields = {**json.loads(card.to_json()), "news": 1}
    assert ModelCard.from_json(json.dumps(fields)) == card


@pytest.mark.parametrize(
    "field",
    [
        {"task": "count"},
        {"unit": "Jy"},
        {"transform": "log"},
        {"threshold": 1.5},
    ],
)
def test_bad_cards_name_the_field(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        dataclasses.replace(random_model().card, **field)


def test_covers():
    card = random_model(
        domain={"TELESCOP": "HST", "DETECTOR": "WFC"}, filters=["F606W"]
    ).card
    header = {"TELESCOP": "HST", "DETECTOR": "WFC", "FILTER1": "F606W"}
    assert card.covers(header)
    assert not card.covers({**header, "FILTER1": "F814W"})
    assert not card.covers({**header, "DETECTOR": "HRC"})
    assert not card.covers(None)
    assert not random_model().card.covers(header)
    assert random_model(instrument="any").card.covers(None)


def test_wrong_task():
    model = random_model("inpaint")
    with pytest.raises(ValueError, match="is for task 'inpaint', not for 'mask'"):
        model.probability(np.zeros((4, 4), np.float32))


def test_input_of_the_inpainting_network_hides_masked_pixels(rng):
    model = random_model("inpaint", transform_arguments={"scale": 100.0})
    frame = rng.normal(100, 5, (30, 30)).astype(np.float32)
    mask = rng.random(frame.shape) < 0.1
    other = np.where(mask, 1e6, frame).astype(np.float32)
    first, second = model.fill(frame, mask)[0], model.fill(other, mask)[0]
    np.testing.assert_array_equal(first, second)
    hidden = np.zeros_like(mask)
    hidden[12:15, 12:15] = True
    # What is bad is hidden from the network as well.
    third, _ = model.fill(np.where(hidden, np.nan, frame), mask & ~hidden, bad=hidden)
    both, _ = model.fill(frame, mask | hidden)
    np.testing.assert_array_equal(third, both[~hidden[mask | hidden]])
    planes = np.stack([np.where(mask, 0, frame / 100), mask]).astype(np.float32)
    with torch.inference_mode():
        direct = 100 * model.network(torch.from_numpy(planes)[None])[0, 0].numpy()
    inside = np.zeros_like(mask)
    inside[10:-10, 10:-10] = True
    np.testing.assert_allclose(first[inside[mask]], direct[mask & inside], rtol=1e-4)


def test_device_names():
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="device='gpu' is unknown"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="device='meta' is not supported"):
        resolve_device("meta")
    with pytest.raises(ValueError, match="device='cuda:99' is absent"):
        resolve_device("cuda:99")


def test_tiles_are_halved_when_memory_runs_out(rng, monkeypatch):
    model = random_model()
    frame = rng.normal(size=(70, 70)).astype(np.float32)
    expected = model.probability(frame)
    run = model.engine_for()

    def limited(planes, *args):
        if planes.shape[-1] > 60:
            raise torch.OutOfMemoryError("out of memory")
        return run(planes, *args)

    monkeypatch.setattr(model, "engine_for", lambda *_: limited)
    with pytest.warns(AstropyUserWarning, match="tile_size is now 32"):
        got = model.probability(frame, tile_size=64)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    monkeypatch.setattr(
        model, "engine_for", lambda *_: lambda *_: limited(np.empty((1, 99, 99)))
    )
    with pytest.raises(torch.OutOfMemoryError):
        model.probability(frame, tile_size=16)


@pytest.mark.parametrize("tile_size", [0, -3])
def test_tile_size_must_be_positive(tile_size):
    with pytest.raises(ValueError, match="tile_size="):
        random_model().probability(np.zeros((4, 4), np.float32), tile_size=tile_size)


def test_tile_size_must_be_whole():
    with pytest.raises(TypeError, match="tile_size=2.5 must be a whole number"):
        random_model().probability(np.zeros((4, 4), np.float32), tile_size=2.5)


def test_threads_share_a_model(rng):
    model = random_model()
    frames = rng.normal(size=(8, 60, 60)).astype(np.float32)
    expected = [model.probability(frame) for frame in frames]
    with ThreadPoolExecutor(8) as pool:
        for got, want in zip(
            pool.map(model.probability, frames), expected, strict=True
        ):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("task", ["mask", "inpaint"])
def test_several_arrays_are_computed_as_one_by_one(task, rng):
    """As on a GPU, where those of several threads go together."""
    models = [random_model(task).to(engine="torch")]
    shape = (3, 1 if task == "mask" else 2, 40, 48)
    if task == "inpaint":
        models.append(cutout_model())
    for model in models:
        if model.network.takes_cutouts:
            shape = (3, 20, feature_layout(3).size)
        arrays = rng.normal(size=shape).astype(np.float32)
        together = model.engine_for().compute(arrays)
        for array, result in zip(arrays, together, strict=True):
            np.testing.assert_allclose(
                result, model.engine_for()(array), rtol=1e-4, atol=1e-5
            )


@needs_cuda
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_cuda_agrees_with_cpu(precision, rng):
    model = load_model("universal", device="cpu", precision="float32")
    frames = rng.normal(100, 10, (12, 200, 300)).astype(np.float32)
    frames[:, 50:53, 60:64] += 300
    there = model.to("cuda", precision=precision)
    tiled = there.probability(frames[0], tile_size=64)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(there.probability, frames))
    for result, frame in zip([*results, tiled], [*frames, frames[0]], strict=True):
        expected = model.probability(frame)
        # Away from the threshold, where a rounding may tip the scale.
        far = np.abs(expected - model.card.threshold) > 0.1
        np.testing.assert_allclose(result[far], expected[far], atol=0.05)


@needs_cuda
def test_cuda_fills_as_the_cpu(rng):
    model = cutout_model()
    frame = rng.normal(100, 5, (300, 400)).astype(np.float32)
    mask = rng.random(frame.shape) < 0.2
    there = model.to("cuda", precision="float32")
    np.testing.assert_allclose(
        there.fill(frame, mask)[0], model.fill(frame, mask)[0], rtol=1e-3, atol=0.1
    )


@needs_cuda
def test_cuda_frames_of_a_stack(rng):
    stack = rng.normal(100, 5, (4, 150, 160)).astype(np.float32)
    stack[:, 40:42, 50:58] += 400
    cleaned, crmask = cosmicray_deepcr(stack, device="cuda")
    assert crmask[:, 40:42, 50:58].all()
    assert cleaned.max() < 200


def test_precision():
    cpu = torch.device("cpu")
    assert resolve_precision("bfloat16", cpu) == "bfloat16"
    assert resolve_precision(None, cpu) == resolve_precision("auto", cpu)
    with pytest.raises(ValueError, match="precision='half' is unknown; allowed are"):
        resolve_precision("half", cpu)


@pytest.mark.parametrize(("has", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_precision_follows_the_processor(has, expected, monkeypatch):
    monkeypatch.setattr(devices, "_has_bfloat16", lambda _: has)
    assert resolve_precision(None, torch.device("cpu")) == expected


def test_model_in_another_precision(rng, tmp_path):
    model = random_model()
    assert model.to() is model
    assert model.to(precision="float32") is model
    narrow = model.to(precision="bfloat16")
    assert "bfloat16" in repr(narrow)
    frame = rng.normal(size=(90, 80)).astype(np.float32)
    wide = model.probability(frame)
    np.testing.assert_allclose(narrow.probability(frame), wide, atol=0.02)
    assert not np.array_equal(narrow.probability(frame), wide)
    # The weights stay whole: what is saved or taken back is as it was.
    narrow.save(tmp_path / "a.safetensors")
    loaded = Model.load(tmp_path / "a.safetensors", precision="float32", device="cpu")
    np.testing.assert_array_equal(loaded.probability(frame), wide)
    np.testing.assert_array_equal(
        narrow.to(precision="float32").probability(frame), wide
    )


def test_parallel_tiles_equal_serial_ones(rng):
    model = random_model()
    frame = rng.normal(size=(300, 400)).astype(np.float32)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(model.probability(frame, tile_size=100))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-6)


def test_default_tiles_are_alike():
    height, width = choose_tile_size(torch.device("cpu"), 9, (1000, 5000))
    assert 216 * 24 > height > 256 / 2
    assert -(-1000 // height) * height - 1000 < 5
    assert width <= 256


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
@pytest.mark.parametrize("shape", [(1000, 1000), (4096, 2048), (130, 4000), (200, 200)])
def test_threads_get_tiles_alike(threads, shape, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    height, width = choose_tile_size(torch.device("cpu"), 41, shape)
    number = -(-shape[0] // height) * -(-shape[1] // width)
    # Small frames are not cut into slivers.
    sharing = max(1, min(threads, shape[0] * shape[1] // PARALLEL_PIXELS))
    assert number % sharing == 0 or number >= TILES_PER_THREAD * sharing
    assert max(height, width) <= 1024


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("transform", ["scaled", "noise"])
def test_fused_networks_give_the_same(rng, precision, transform):
    dtype = devices.TORCH_DTYPES[precision]
    wide = transform != "noise"
    network = reduce_precision(
        random_model().network, dtype, wide_input=wide, wide_output=False
    )
    dtype = torch.float32 if wide else dtype
    fused = fuse(network, dtype)
    assert fused is not network
    tensor = torch.from_numpy(rng.normal(0, 3, (1, 1, 64, 72))).to(dtype)
    with torch.inference_mode():
        got, expected = fused(tensor).float(), network(tensor).float()
    tolerance = 1e-5 if precision == "float32" else 0.02
    np.testing.assert_allclose(got, expected, atol=tolerance * expected.abs().max())


def test_networks_that_cannot_be_fused_stay_as_they_are(monkeypatch):
    network = random_model().network

    def absent(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(torch_engine, "FusedConvolution", absent)
    assert fuse(network, torch.float32) is network


def test_fused_networks_that_differ_are_not_used(monkeypatch):
    network = random_model().network
    monkeypatch.setattr(torch_engine.FusedConvolution, "forward", lambda _, x: x)
    assert fuse(network, torch.float32) is network


def test_models_are_pickled(rng):
    model = random_model()
    frame = rng.normal(size=(40, 40)).astype(np.float32)
    other = pickle.loads(pickle.dumps(model))
    assert other.card == model.card
    assert other.precision == model.precision
    np.testing.assert_array_equal(other.probability(frame), model.probability(frame))


def cutout_model(**card):
    """An untrained model that fills from cutouts."""
    torch.manual_seed(0)
    arguments = {"radius": 3, "width": [16, 8]}
    network = build_network("window", arguments)
    known = {"name": "w", "task": "inpaint", "unit": None, "transform": "window"}
    return Model(
        ModelCard(architecture="window", arguments=arguments, **known, **card),
        network,
        device="cpu",
        precision="float32",
    )


def test_star_templates_are_fitted_where_a_fill_may_be_far_off(monkeypatch):
    frame = make_stars((60, 60), 2.5)
    mask = np.zeros(frame.shape, dtype=bool)
    mask[20:23, 20:23] = mask[33, 40] = True
    network = cutout_model()
    fitted = []

    def fit(values, kinds, mean, spread, stars, charge):
        fitted.append((len(values), len(stars.images) > 0))
        return fit_star_templates(values, kinds, mean, spread, stars, charge)

    monkeypatch.setattr(features_module, "fit_star_templates", fit)
    found = []
    for probability in (-1, 1):
        monkeypatch.setattr(filling, "REFINE_PROBABILITY", probability)
        found.append(network.fill(frame, mask, cr_affected=mask)[0])
    assert fitted == [(10, True)]
    assert np.isfinite(found).all()
    assert (found[0] != found[1]).all()
    # Without stars there is the charge of cosmic rays in the cutout.
    monkeypatch.setattr(filling, "REFINE_PROBABILITY", -1)
    bare, _ = network.fill(np.ones_like(frame), mask, cr_affected=mask)
    assert fitted == [(10, True), (10, False)]
    assert np.isfinite(bare).all()


@pytest.mark.parametrize("architecture", ["window", "unet"])
def test_transforms_are_for_tiles_or_for_cutouts(architecture):
    transform = {"window": "noise", "unet": "window"}[architecture]
    card = ModelCard(
        name="m", task="inpaint", architecture=architecture, transform=transform
    )
    network = build_network(architecture, {})
    with pytest.raises(ValueError, match=f"transform='{transform}' is not for arch"):
        Model(card, network, device="cpu")


def test_cutout_networks_use_near_good_pixels_only(rng, tmp_path):
    model = cutout_model()
    frame = rng.normal(100, 5, (40, 50)).astype(np.float32)
    mask = np.zeros(frame.shape, dtype=bool)
    mask[20, 20] = mask[39, 49] = True
    bad = np.zeros_like(mask)
    bad[20, 22] = True
    filled, least = model.fill(frame, mask, bad=bad)
    assert (least < filled).all()
    changed = np.where(mask | bad, np.nan, frame)
    changed[20, 24] = changed[16, 20] = 1e5
    np.testing.assert_array_equal(model.fill(changed, mask, bad=bad)[0], filled)
    changed[20, 23] += 1
    first, last = model.fill(changed, mask, bad=bad)[0] != filled
    assert first
    assert not last
    # In any unit, by any route.
    np.testing.assert_allclose(
        model.fill(0.01 * frame - 3, mask, bad=bad)[0], 0.01 * filled - 3, rtol=1e-3
    )
    model.save(tmp_path / "w.safetensors")
    again = Model.load(tmp_path / "w.safetensors", device="cpu", precision="float32")
    np.testing.assert_array_equal(again.fill(frame, mask, bad=bad)[0], filled)
    reduced, _ = model.to(precision="bfloat16").fill(frame, mask, bad=bad)
    np.testing.assert_allclose(reduced, filled, atol=0.5)


def test_cutout_networks_give_nan_where_good_pixels_are_too_few():
    frame = np.ones((30, 30), dtype=np.float32)
    mask = np.zeros(frame.shape, dtype=bool)
    mask[5:20, 5:20] = True
    filled, _ = cutout_model().fill(frame, mask)
    known = np.zeros_like(mask)
    known[mask] = np.isfinite(filled)
    assert not known[8:17, 8:17].any()
    assert known[5, 5:20].all()


def turned(model, turns):
    return Model(
        dataclasses.replace(model.card, turns=turns),
        model.network,
        device="cpu",
        precision="float32",
        engine="torch",
    )


def test_rotations_are_averaged(rng):
    model = random_model(levels=3)
    # A side that is a multiple of the stride, so that all turns lie on one grid.
    frame = rng.normal(0, 5, (64, 96)).astype(np.float32)
    each = [np.rot90(model.probability(np.rot90(frame, k)), -k) for k in range(4)]
    assert np.ptp(each, axis=0).max() > 1e-3
    for turns in (2, 4):
        got = turned(model, turns).probability(frame)
        np.testing.assert_allclose(got, np.mean(each[:turns], axis=0), atol=1e-5)
    again = turned(model, 4).probability(np.ascontiguousarray(np.rot90(frame)))
    np.testing.assert_allclose(np.rot90(again, -1), got, atol=1e-5)


def test_tiles_do_not_change_the_mean_of_rotations(rng):
    model = turned(random_model(levels=3, transform="noise"), 4)
    frame = rng.normal(0, 5, (203, 130)).astype(np.float32)
    whole = model.probability(frame, tile_size=256)
    for tile_size in (16, 60):
        got = model.probability(frame, tile_size=tile_size)
        np.testing.assert_allclose(got, whole, atol=1e-5)


def test_rotations_are_on_the_card(tmp_path, rng):
    model = turned(random_model(), 2)
    model.save(tmp_path / "mine.safetensors")
    loaded = Model.load(
        tmp_path / "mine.safetensors", device="cpu", precision="float32", engine="torch"
    )
    frame = rng.normal(0, 5, (40, 40)).astype(np.float32)
    expected = model.probability(frame)
    for other in (loaded, pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.probability(frame), expected)


@pytest.mark.parametrize(("task", "turns"), [("mask", 3), ("mask", 0), ("inpaint", 2)])
def test_rotations_that_are_not_allowed(task, turns):
    with pytest.raises(ValueError, match=rf"turns={turns}; allowed are \(1,"):
        random_model(task, turns=turns)
