"""Packages with models, as pip installs them, made by hand."""

from conftest import random_model


def install(
    folder,
    models=("mycam",),
    *,
    dist="mycam-models",
    package="mycam_models/files",
    point=None,
    record=True,
    seed=0,
):
    """Put a package with models into a folder of ``sys.path``; return their paths.

    Importing it raises an error.
    """
    inside = folder / package
    inside.mkdir(parents=True, exist_ok=True)
    (folder / package.split("/")[0] / "__init__.py").write_text("1 / 0")
    paths = []
    for number, name in enumerate(models):
        paths.append(inside / f"{number}-{seed}.safetensors")
        random_model(name=name, seed=seed).save(paths[-1])
    info = folder / f"{dist.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0")
    point = package.replace("/", ".") if point is None else point
    (info / "entry_points.txt").write_text(f"[deepcr_ccd.models]\nx = {point}\n")
    if record:
        files = [*paths, folder / package.split("/")[0] / "__init__.py"]
        lines = [f"{path.relative_to(folder).as_posix()},," for path in files]
        (info / "RECORD").write_text("\n".join(lines))
    return paths
