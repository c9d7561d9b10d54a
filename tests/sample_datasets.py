"""Training data for tests."""

import numpy as np

from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.scenes import make_scene
from deepcr_ccd.training.datasets import SimulatedFrames


def simulated_frames():
    """Return simulated frames of 48x48 px, with four sparse scenes."""
    rng = np.random.default_rng(0)
    scenes = np.stack([make_scene(rng, 64, "sparse") for _ in range(4)])
    deposits = [simulate_deposit(rng) for _ in range(300)]
    return SimulatedFrames(scenes, [deposits], length=4000, size=48, seed=3)
