"""Time how long the package and its command take to start, beside ``import torch``.

Each command runs in a Python of its own, one after the other, so that other work on
the machine slows all of them; the shortest time counts.

    python benchmarks/startup.py --repeats 10
"""

import argparse
import subprocess
import sys
import time

COMMANDS = {
    "python": ["-c", ""],
    "import numpy": ["-c", "import numpy"],
    "import astropy.nddata": ["-c", "import astropy.nddata"],
    "import torch": ["-c", "import torch"],
    "import deepcr_ccd": ["-c", "import deepcr_ccd"],
    "deepcr-ccd --help": ["-m", "deepcr_ccd", "--help"],
    "deepcr-ccd models": ["-m", "deepcr_ccd", "models"],
    "all functions": ["-c", "from deepcr_ccd import *"],
}


def main() -> None:
    """Print seconds, and their ratio to those of ``import torch``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, metavar="N")
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True
            )
            times[name].append(time.perf_counter() - start)
    torch = min(times["import torch"])
    print(f"{'':24}{'s':>8}{'/ torch':>10}")
    for name, seconds in times.items():
        print(f"{name:24}{min(seconds):8.2f}{min(seconds) / torch:10.2f}")


if __name__ == "__main__":
    main()
