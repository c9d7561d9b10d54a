"""Make the model files of this package from the checkpoints of deepCR 0.3.1.

    python benchmarks/convert_deepcr.py [ARCHIVE_OR_FOLDER] [--output FOLDER]

ARCHIVE_OR_FOLDER is ``deepCR-0.3.1.tar.gz``, as ``pip download --no-deps --no-binary
:all: deepCR==0.3.1`` fetches it, or a folder with ``learned_models`` in it; by default,
where deepCR is installed. ``deepcr_ccd/data/published.toml`` says which files are
converted, the sha256 that each must have, and the cards. BatchNorm is folded into the
convolutions; weights stay float32. Each file gets a test input with its output. Models
that are not listed are left out.
"""

import argparse
import hashlib
import importlib.metadata
import tarfile
import tempfile
from pathlib import Path

from deepcr_ccd.models.deepcr_checkpoint import load_checkpoint
from deepcr_ccd.models.sources.package_data import card_of, published

DATA = Path(__file__).parents[1] / "deepcr_ccd" / "data"
RELEASE = "deepCR 0.3.1"


def originals(source, folder):
    """Return the folder of the checkpoints; archives are unpacked to another."""
    if source is None:
        found = importlib.metadata.distribution("deepCR")
        if f"deepCR {found.version}" != RELEASE:
            raise ValueError(f"deepCR {found.version} is installed, not {RELEASE}")
        return Path(str(found.locate_file("")))
    if source.is_dir():
        return source
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside


def convert(entry, folder, output):
    """Write the model file of one checkpoint."""
    path = folder / entry["file"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != entry["sha256"]:
        raise ValueError(f"{path} has sha256 {digest}, not {entry['sha256']}")
    model = load_checkpoint(path, card_of(entry), device="cpu", precision="float32")
    target = output / f"{entry['name']}.safetensors"
    model.save(target)
    return target


def main():
    """Convert all checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path, nargs="?", metavar="ARCHIVE_OR_FOLDER")
    parser.add_argument("--output", type=Path, default=DATA / "published")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = originals(options.source, Path(name))
        for entry in published():
            if entry.get("listed", True):
                target = convert(entry, folder, options.output)
                print(f"{target.name}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
