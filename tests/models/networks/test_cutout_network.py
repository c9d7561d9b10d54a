import numpy as np
import pytest
import torch
from scipy import stats

from deepcr_ccd.inpainting.feature_layout import FITS, TOLD
from deepcr_ccd.models.networks.cutout_network import ODDS, CutoutNetwork, _asinh
from deepcr_ccd.models.networks.mixture import cdf, negative_log_likelihood, quantile


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
    found = negative_log_likelihood(made, torch.tensor(values, dtype=torch.float32))
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


def test_cdf_is_what_quantiles_are_of():
    made = mixture([0.3, 0.7], [9.0, 0.0], [1.0, 2.0]).repeat(4, 1, 1)
    shares = torch.tensor([0.02, 0.4, 0.7, 0.99])
    torch.testing.assert_close(
        cdf(made, quantile(made, shares)), shares, atol=1e-4, rtol=0
    )


def test_what_is_not_told_says_nothing():
    torch.manual_seed(0)
    network = CutoutNetwork(2, [12, 8])
    numbers = torch.randn(5, 50 + TOLD)
    held, told = numbers[:, 50 + 12], numbers[:, 50 + 25]
    told[:] = torch.tensor([1.0, 0, 1, 0, 0])
    fits = numbers[:, -FITS:].unflatten(1, (2, FITS // 2))
    fits[:, 0, 0] = torch.tensor([1.0, 1, 1, 0, 0])
    fits[:, 1, 0] = torch.tensor([1.0, 0, 0, 0, 0])
    fits[0, :, 1] = held[0] + torch.tensor([-1.0, 1])
    made = network.mixture(numbers)
    assert made.shape == (5, 7, 3)
    odds = made[..., 0].exp()
    torch.testing.assert_close(odds.sum(1), torch.ones(5))
    usable = torch.stack([told, told, *fits[:, :, 0].T], dim=1) > 0
    assert (odds[:, 3:][usable] > 1e-3).all()
    assert (odds[:, 3:][~usable] < 1e-9).all()
    # A ray only adds: these are no higher than what the pixel holds.
    torch.testing.assert_close(made[:, 4, 1], held)
    assert (made[:, 3, 1] < held).all()
    torch.testing.assert_close(made[0, 5:, 1], held[0] - torch.tensor([1.0, 0]))
    # Elsewhere they are what the fits say.
    torch.testing.assert_close(made[1, 5, 1], fits[1, 0, 1])


@pytest.mark.parametrize("told", [False, True])
def test_answers_are_quantiles_of_the_mixture(told):
    torch.manual_seed(2)
    network = CutoutNetwork(3, [12, 8])
    with torch.no_grad():
        network.out.weight *= 30
        network.out.bias[2 * len(ODDS)] += 2
    numbers = torch.randn(60, 98 + TOLD)
    numbers[:, 98 : 98 + 25] += 4
    numbers[:, 98 + 25] = float(told)
    numbers[:, -FITS // 2] = float(told)
    found, least, more = network(numbers).T
    mixture = network.mixture(numbers)
    middle, sure = (quantile(mixture, share) for share in (0.5, 0.25))
    high = middle > 1
    assert 2 < high.sum() < 58
    torch.testing.assert_close(found, middle)
    assert (least[~high] == -torch.inf).all()
    torch.testing.assert_close(least[high], sure[high])
    far = cdf(mixture, middle + 1)
    torch.testing.assert_close(more, 1 - far, atol=1e-4, rtol=0)


def test_asinh_is_the_inverse_hyperbolic_sine():
    values = torch.tensor([-1e5, -3.0, -1e-3, 0.0, 0.5, 1e5])
    torch.testing.assert_close(
        _asinh(values), values.double().asinh().float(), rtol=1e-6, atol=2e-7
    )
