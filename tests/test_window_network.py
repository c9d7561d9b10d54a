import numpy as np
import pytest
import torch
from scipy import stats

from deepcr_ccd.window_network import WindowNetwork, quantiles, unlikeliness
from deepcr_ccd.windows import TOLD


def mixture(odds, centres, widths):
    planes = np.log(odds), centres, np.log(widths)
    return torch.tensor(np.stack(planes, axis=-1), dtype=torch.float32)


def test_unlikeliness_is_that_of_students_distributions():
    odds, centres, widths = [0.3, 0.7], [1.0, -40.0], [0.5, 8.0]
    made = mixture(odds, centres, widths).repeat(3, 1, 1)
    values = np.array([1.2, -37.0, 300.0])
    density = sum(
        share * stats.t.pdf((values - centre) / width, 4) / width
        for share, centre, width in zip(odds, centres, widths, strict=True)
    )
    constant = np.log(stats.t.pdf(0, 4))
    found = unlikeliness(made, torch.tensor(values, dtype=torch.float32))
    np.testing.assert_allclose(found, constant - np.log(density), rtol=1e-4)


def test_quantiles_of_one_and_of_two():
    one = mixture([1.0], [70.0], [3.0])[None]
    middle, low = quantiles(one, (0.5, 0.1))[0].tolist()
    assert middle == pytest.approx(70, abs=1e-3)
    assert low == pytest.approx(stats.logistic.ppf(0.1, 70, 3 / 1.7), abs=1e-3)
    # Far apart, and the one less likely: the middle is inside the other.
    two = mixture([0.3, 0.7], [1e4, 0.0], [1.0, 2.0])[None]
    middle, high = quantiles(two, (0.5, 0.9))[0].tolist()
    assert middle == pytest.approx(stats.logistic.ppf(0.5 / 0.7, 0, 2 / 1.7), abs=0.01)
    assert high == pytest.approx(stats.logistic.ppf(2 / 3, 1e4, 1 / 1.7), abs=0.01)


def test_what_is_held_says_nothing_where_it_is_not_told():
    torch.manual_seed(0)
    network = WindowNetwork(2, [12, 8])
    numbers = torch.randn(5, 50 + TOLD)
    numbers[:, 50 + 25] = torch.tensor([1.0, 0, 1, 0, 0])
    made = network.mixture(numbers)
    assert made.shape == (5, 5, 3)
    odds = made[..., 0].exp()
    torch.testing.assert_close(odds.sum(1), torch.ones(5))
    assert (odds[[0, 2], 3:] > 1e-3).all()
    assert (odds[[1, 3, 4], 3:] < 1e-9).all()
    # A ray only adds: these two are no higher than what the pixel holds.
    held = numbers[:, 50 + 12]
    torch.testing.assert_close(made[:, 4, 1], held)
    assert (made[:, 3, 1] < held).all()


def test_forward_gives_quantiles_of_the_mixture():
    torch.manual_seed(0)
    network = WindowNetwork(2, [12, 8])
    numbers = torch.randn(7, 50 + TOLD)
    numbers[:, 50 + 25] = 0
    found = network(numbers)
    torch.testing.assert_close(found, quantiles(network.mixture(numbers), (0.5, 0.1)))
    assert (found[:, 1] < found[:, 0]).all()
    assert found.shape == (7, network.numbers)


def test_what_is_held_is_believed_as_far_as_the_surroundings_allow():
    torch.manual_seed(1)
    network = WindowNetwork(3, [12, 8])
    with torch.no_grad():
        network.out.weight *= 20
    numbers = torch.randn(40, 98 + TOLD)
    good = (torch.rand(40, 49) < 0.7).float()
    good[:, 24] = 0
    numbers[:, 49:98] = good
    middle = slice(98, 98 + 25)
    numbers[:, middle] += 4
    numbers[:, 98 + 25] = 1
    alone = numbers.clone()
    alone[:, 98 + 25] = 0
    alone[:, middle] *= good.reshape(40, 7, 7)[:, 1:6, 1:6].flatten(1)
    found = network(numbers)
    free = quantiles(network.mixture(numbers), (0.5, 0.1))
    highest = quantiles(network.mixture(alone), (0.95,))
    torch.testing.assert_close(found, torch.minimum(free, highest))
    # Both happen.
    assert 0 < (found[:, 0] < free[:, 0]).float().mean() < 1
