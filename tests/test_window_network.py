import numpy as np
import pytest
import torch
from scipy import stats

from deepcr_ccd.descriptions import TOLD
from deepcr_ccd.window_network import WindowNetwork, quantile, unlikeliness


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
    assert quantile(one, 0.5).item() == pytest.approx(70, abs=1e-3)
    expected = stats.logistic.ppf(0.1, 70, 3 / 1.7)
    assert quantile(one, 0.1).item() == pytest.approx(expected, abs=1e-3)
    # Far apart, and the one less likely: the middle is inside the other.
    two = mixture([0.3, 0.7], [1e4, 0.0], [1.0, 2.0])[None]
    expected = stats.logistic.ppf(0.5 / 0.7, 0, 2 / 1.7)
    assert quantile(two, 0.5).item() == pytest.approx(expected, abs=0.01)
    expected = stats.logistic.ppf(2 / 3, 1e4, 1 / 1.7)
    assert quantile(two, 0.9).item() == pytest.approx(expected, abs=0.01)


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


@pytest.mark.parametrize("told", [False, True])
def test_what_is_held_is_believed_as_far_as_the_surroundings_allow(told):
    torch.manual_seed(1)
    network = WindowNetwork(3, [12, 8])
    with torch.no_grad():
        network.out.weight *= 30
    numbers = torch.randn(60, 98 + TOLD)
    good = (torch.rand(60, 49) < 0.7).float()
    good[:, 24] = 0
    numbers[:, 49:98] = good
    middle = slice(98, 98 + 25)
    numbers[:, middle] += 4
    numbers[:, 98 + 25] = float(told)
    alone = numbers.clone()
    alone[:, 98 + 25] = 0
    alone[:, middle] *= good.reshape(60, 7, 7)[:, 1:6, 1:6].flatten(1)
    found, least = network(numbers).T
    free = quantile(network.mixture(numbers), 0.5)
    sure = quantile(network.mixture(numbers), 0.1)
    high = free > 1
    assert 2 < high.sum() < 58
    torch.testing.assert_close(found[~high], free[~high])
    assert (least[~high] == -torch.inf).all()
    if told:
        highest = quantile(network.mixture(alone), 0.95)
        assert 0 < (free > highest)[high].float().mean() < 1
        free, sure = torch.minimum(free, highest), torch.minimum(sure, highest)
    torch.testing.assert_close(found[high], free[high])
    torch.testing.assert_close(least[high], sure[high])
    assert network(numbers).shape == (60, network.numbers)
