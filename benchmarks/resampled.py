"""Find cosmic rays before and after frames are resampled, and say what that costs.

    python benchmarks/resampled.py [MODEL]

Simulated frames are shifted, turned or enlarged, as they are when they are rectified or
drizzled. Printed are the share of cosmic rays of which a pixel is found, and the false
pixels a megapixel that are not next to one.
"""

import argparse

import numpy as np
from astropy.table import Table
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr, load_model
from deepcr_ccd.evaluation.frames import simulate_frames

THREE = np.ones((3, 3))
RESAMPLED = {
    "as read": lambda plane: plane,
    "shifted, linear": lambda plane: ndimage.shift(plane, (0.5, 0.4), order=1),
    "shifted, cubic": lambda plane: ndimage.shift(plane, (0.5, 0.4), order=3),
    "turned by 5 degrees, cubic": lambda plane: ndimage.rotate(plane, 5, reshape=False),
    "enlarged 1.5 times, linear": lambda plane: ndimage.zoom(plane, 1.5, order=1),
}


def count(model, item, change):
    """Return rays, rays found, false pixels, and pixels of a frame."""
    frame, truth, ignore = (
        change(plane.astype(np.float32))
        for plane in (item.frame, item.truth, item.ignore)
    )
    _, crmask = cosmicray_deepcr(frame, model=model, inpaint=None)
    # Where a cosmic ray is in part, or nobody knows, nothing is false.
    doubtful = ndimage.binary_dilation((truth > 0.1) | (ignore > 0.1), THREE)
    groups, number = ndimage.label(truth > 0.4, THREE)
    found = ndimage.maximum(crmask, groups, np.arange(1, number + 1)) if number else 0
    return number, np.count_nonzero(found), (crmask & ~doubtful).sum(), frame.size


def main():
    """Count as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="universal")
    model = load_model(parser.parse_args().model, device="cpu")
    rows = []
    for kind in ("extragalactic", "sparse"):
        items = simulate_frames(kind, 8, seed=4)
        for name, change in RESAMPLED.items():
            rays, found, false, pixels = np.sum(
                [count(model, item, change) for item in items], axis=0
            )
            row = {"frames": kind, "resampled": name, "rays": rays}
            row["found %"] = round(100 * found / rays, 1)
            row["false px/Mpix"] = round(1e6 * false / pixels)
            rows.append(row)
    Table(rows).pprint_all()


if __name__ == "__main__":
    main()
