import inspect

import numpy as np
import pytest
import torch

from deepcr_ccd import cosmicray_probability, deepCR, inpaint

NAME = "ACS-WFC-F606W-2-32"


@pytest.fixture(scope="module")
def image(ccd):
    return ccd.data


@pytest.fixture(scope="module")
def probability(image):
    return cosmicray_probability(image, model="ACS-WFC-F606W", precision="float32")


def test_documented_examples(image, probability):
    mdl = deepCR(mask=NAME, inpaint=NAME, device="CPU")
    expected = (probability > 0.5).astype(np.float32)

    mask, cleaned = mdl.clean(image, threshold=0.5, inpaint=True)
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(cleaned[mask == 0], image[mask == 0])
    flagged = mask == 1
    assert np.median(image[flagged] - cleaned[flagged]) > 100

    only = mdl.clean(image, threshold=0.5)
    np.testing.assert_array_equal(only, expected)

    prob = mdl.clean(image, binary=False)
    np.testing.assert_array_equal(prob, probability)

    for options in (
        {"n_jobs": -1},
        {"segment": True},
        {"segment": True, "n_jobs": -1},
        {"segment": True, "patch": 32},
    ):
        mask2, cleaned2 = mdl.clean(image, threshold=0.5, inpaint=True, **options)
        np.testing.assert_array_equal(mask2, expected)
        np.testing.assert_allclose(cleaned2, cleaned, rtol=1e-4, atol=1e-2)
    prob = mdl.clean(image, binary=False, segment=True)
    np.testing.assert_allclose(prob, probability, atol=1e-5)

    for array in (mask, cleaned, only, prob):
        assert array.dtype == np.float32


def test_documented_example_without_inpainting(image):
    mdl = deepCR(mask="ACS-WFC", device="CPU")
    binary_mask = mdl.clean(image, segment=True, n_jobs=-1)
    expected = cosmicray_probability(image, model="ACS-WFC") > 0.5
    np.testing.assert_array_equal(binary_mask, expected)
    mask, cleaned = mdl.clean(image, inpaint=True)
    np.testing.assert_array_equal(cleaned, inpaint(image, mask, method="median")[0])


def test_inpaint(image, probability):
    mdl = deepCR(mask=NAME, inpaint=NAME, device="CPU")
    mask, cleaned = mdl.clean(image, inpaint=True)
    np.testing.assert_array_equal(mdl.inpaint(image, mask), cleaned)
    prob, also = mdl.clean(image, binary=False, inpaint=True)
    np.testing.assert_array_equal(prob, probability)
    np.testing.assert_array_equal(also, cleaned)


@pytest.mark.parametrize("name", ["__init__", "clean", "inpaint"])
def test_signatures_are_those_of_the_original(name):
    original = pytest.importorskip("deepCR").deepCR
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (getattr(deepCR, name), getattr(original, name))
    )
    assert ours == theirs


def test_attributes_that_scripts_read(image, probability):
    mdl = deepCR(mask=NAME, inpaint=NAME, device="CPU")
    assert (mdl.scale, mdl.norm) == (1, False)
    assert mdl.percentile is mdl.median is mdl.std is None
    assert isinstance(mdl.inpaintNet, torch.nn.Module)
    # A size at which nothing is padded.
    part = np.ascontiguousarray(image[-64:, -64:])
    with torch.no_grad():
        got = mdl.maskNet(torch.from_numpy(part / mdl.scale)[None, None])
    inner = np.s_[20:-20, 20:-20]
    np.testing.assert_allclose(
        got[0, 0].numpy()[inner], probability[-64:, -64:][inner], atol=1e-4
    )
    assert deepCR().inpaintNet is None
    assert deepCR(mask="WFC3-UVIS").norm
    assert deepCR(mask="example_model").scale == 100


def test_input_and_threads_are_left_alone(image):
    before, threads = image.copy(), torch.get_num_threads()
    deepCR().clean(image, n_jobs=1 if threads > 1 else 2)
    np.testing.assert_array_equal(image, before)
    assert torch.get_num_threads() == threads


def test_nan_is_not_examined(image):
    odd = image.copy()
    odd[5, 5] = np.nan
    mdl = deepCR()
    assert mdl.clean(odd)[5, 5] == 0
    assert np.isnan(mdl.clean(odd, binary=False)[5, 5])


def test_models_from_files(tmp_path, image):
    from conftest import random_model

    path = tmp_path / "mine.safetensors"
    random_model(width=8).save(path)
    mdl = deepCR(mask=str(path), hidden=8)
    expected = cosmicray_probability(image, model=path, precision="float32")
    np.testing.assert_array_equal(mdl.clean(image, binary=False), expected)
    with pytest.raises(ValueError, match="hidden=16 does not fit"):
        deepCR(mask=str(path), hidden=16)


def test_bad_arguments(image):
    with pytest.raises(ValueError, match="device='cpu' is unknown; allowed are 'CPU'"):
        deepCR(device="cpu")
    with pytest.raises(ValueError, match="known are"):
        deepCR(mask="nothing")
    mdl = deepCR()
    with pytest.raises(ValueError, match=r"img0 has shape \(3,\)"):
        mdl.clean(np.zeros(3))
    with pytest.raises(ValueError, match=r"img0 has shape \(2, 3, 4\)"):
        mdl.clean(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="n_jobs=0"):
        mdl.clean(image, n_jobs=0)
    with pytest.raises(ValueError, match="threshold=2"):
        mdl.clean(image, threshold=2)
    with pytest.raises(ValueError, match="mask has shape"):
        mdl.inpaint(image, np.zeros((2, 2)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_gpu():
    with pytest.raises(ValueError, match="device='GPU' is absent"):
        deepCR(device="GPU")
