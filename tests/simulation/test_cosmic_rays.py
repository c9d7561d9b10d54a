import numpy as np
from scipy import ndimage

from deepcr_ccd.simulation.cosmic_rays import (
    add_deposits,
    add_straight_tracks,
    cut_deposits,
    read_lsst_darks,
    simulate_deposit,
)


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


def test_straight_tracks_are_even():
    charge = np.zeros((200, 220))
    add_straight_tracks(np.random.default_rng(1), charge)
    groups, number = ndimage.label(charge)
    assert number > 3
    for place in ndimage.find_objects(groups):
        part = charge[place]
        if min(part.shape) == 1:
            assert part.size <= 15
            assert np.ptp(part) == 0
