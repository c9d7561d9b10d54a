"""Find cosmic rays before and after frames are resampled, and compare.

    python benchmarks/resampled.py [MODEL]

Simulated frames are shifted, rotated or enlarged, as when they are rectified or
drizzled. Printed are the fraction of cosmic rays with a flagged pixel, and the
false positives per megapixel that are not next to one.
"""

import argparse

import numpy as np
from astropy.table import Table
from scipy import ndimage

from deepcr_ccd import cosmicray_deepcr, load_model
from deepcr_ccd.evaluation.frames import simulate_frames

NEIGHBOURHOOD = np.ones((3, 3))
RESAMPLED = {
    "as read": lambda plane: plane,
    "shifted, linear": lambda plane: ndimage.shift(plane, (0.5, 0.4), order=1),
    "shifted, cubic": lambda plane: ndimage.shift(plane, (0.5, 0.4), order=3),
    "turned by 5 degrees, cubic": lambda plane: ndimage.rotate(plane, 5, reshape=False),
    "enlarged 1.5 times, linear": lambda plane: ndimage.zoom(plane, 1.5, order=1),
}


def count(model, item, change):
    """Return numbers of cosmic rays, of those found, of false positives, of pixels."""
    frame, truth, ignore = (
        change(plane.astype(np.float32))
        for plane in (item.frame, item.truth, item.ignore)
    )
    _, crmask = cosmicray_deepcr(frame, model=model, inpaint=None)
    # Partly affected and ignored pixels are no false positives.
    doubtful = ndimage.binary_dilation((truth > 0.1) | (ignore > 0.1), NEIGHBOURHOOD)
    groups, number = ndimage.label(truth > 0.4, NEIGHBOURHOOD)
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
            number, found, false, pixels = np.sum(
                [count(model, item, change) for item in items], axis=0
            )
            row = {"frames": kind, "resampled": name, "cosmic rays": number}
            row["found %"] = round(100 * found / number, 1)
            row["false px/Mpix"] = round(1e6 * false / pixels)
            rows.append(row)
    Table(rows).pprint_all()


if __name__ == "__main__":
    main()
