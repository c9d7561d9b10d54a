import numpy as np
import pytest

from deepcr_ccd.simulation.scenes import KINDS, make_scene


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


def test_new_kinds_are_appended():
    # The seeds of held-out frames depend on the position.
    first = "sparse extragalactic cluster resolved nebula spectrum trails slits disks"
    assert list(KINDS)[:9] == first.split()


def test_an_unknown_kind_is_an_error(rng):
    with pytest.raises(ValueError, match="kind='sparce' is unknown; allowed are spars"):
        make_scene(rng, 32, "sparce")
