import numpy as np
import pytest
import torch
from scipy import stats

from deepcr_ccd.inpainting.feature_layout import feature_layout
from deepcr_ccd.models.networks.cutout_network import (
    FIRST_LOG_WEIGHTS,
    CutoutNetwork,
    _asinh,
)
from deepcr_ccd.models.networks.mixture import cdf, negative_log_likelihood, quantile


def mixture(weights, centres, widths):
    planes = np.log(weights), centres, np.log(widths)
    return torch.tensor(np.stack(planes, axis=-1), dtype=torch.float32)


def test_likelihood_is_that_of_t_distributions():
    weights, centres, widths = [0.3, 0.7], [1.0, -40.0], [0.5, 8.0]
    made = mixture(weights, centres, widths).repeat(3, 1, 1)
    values = np.array([1.2, -37.0, 300.0])
    density = sum(
        weight * stats.t.pdf((values - centre) / width, 4) / width
        for weight, centre, width in zip(weights, centres, widths, strict=True)
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
    probabilities = torch.tensor([0.02, 0.4, 0.7, 0.99])
    torch.testing.assert_close(
        cdf(made, quantile(made, probabilities)), probabilities, atol=1e-4, rtol=0
    )


def test_distributions_near_unknown_values_have_no_weight():
    torch.manual_seed(0)
    network = CutoutNetwork(2, [12, 8])
    layout = feature_layout(2)
    features = torch.randn(5, layout.size)
    good, every = layout.fits
    pixel, is_cr = (features[:, n] for n in (layout.centre_value, layout.centre_is_cr))
    is_cr[:] = torch.tensor([1.0, 0, 1, 0, 0])[:, None]
    features[:, good.found] = torch.tensor([1.0, 1, 1, 0, 0])[:, None]
    features[:, every.found] = torch.tensor([1.0, 0, 0, 0, 0])[:, None]
    features[0, good.value], features[0, every.value] = pixel[0] - 1, pixel[0] + 1
    made = network.mixture(features)
    assert made.shape == (5, 7, 3)
    weights = made[..., 0].exp()
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    found = features[:, good.found], features[:, every.found]
    usable = torch.cat([is_cr, is_cr, *found], dim=1) > 0
    assert (weights[:, 3:][usable] > 1e-3).all()
    assert (weights[:, 3:][~usable] < 1e-9).all()
    # A cosmic ray only adds: these are no higher than the value of the pixel.
    torch.testing.assert_close(made[:, 4, 1], pixel[:, 0])
    assert (made[:, 3, 1] < pixel[:, 0]).all()
    torch.testing.assert_close(made[0, 5:, 1], pixel[0] - torch.tensor([1.0, 0]))
    # Elsewhere they are those of the fits.
    torch.testing.assert_close(made[1, 5, 1], features[1, good.value][0])


@pytest.mark.parametrize("known", [False, True])
def test_answers_are_quantiles_of_the_mixture(known):
    torch.manual_seed(2)
    network = CutoutNetwork(3, [12, 8])
    with torch.no_grad():
        network.out.weight *= 30
        network.out.bias[2 * len(FIRST_LOG_WEIGHTS)] += 2
    layout = feature_layout(3)
    features = torch.randn(60, layout.size)
    features[:, layout.centre_values] += 4
    features[:, layout.centre_is_cr] = float(known)
    features[:, layout.fits[1].found] = float(known)
    found, least, far_above = network(features).T
    mixture = network.mixture(features)
    middle, sure = (quantile(mixture, probability) for probability in (0.5, 0.25))
    high = middle > 1
    assert 2 < high.sum() < 58
    torch.testing.assert_close(found, middle)
    assert (least[~high] == -torch.inf).all()
    torch.testing.assert_close(least[high], sure[high])
    expected = 1 - cdf(mixture, middle + 1)
    torch.testing.assert_close(far_above, expected, atol=1e-4, rtol=0)


def test_asinh_is_the_inverse_hyperbolic_sine():
    values = torch.tensor([-1e5, -3.0, -1e-3, 0.0, 0.5, 1e5])
    torch.testing.assert_close(
        _asinh(values), values.double().asinh().float(), rtol=1e-6, atol=2e-7
    )
