"""Write the table and the descriptions of the model zoo page from the cards."""

from pathlib import Path

from deepcr_ccd import list_models, load_model

FIELDS = {
    "instrument": "Instrument",
    "filters": "Filters",
    "unit": "Unit of the input",
    "transform": "Transform",
    "transform_arguments": "Its arguments",
    "threshold": "Default threshold",
    "fill": "Inpainting model",
    "training_data": "Training data",
    "scores": "Scores",
    "citation": "Citation",
    "license": "Licence",
}


def describe(value) -> str:
    """Return a card's value in words."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    return str(value)


def write_model_zoo(path: Path) -> None:
    """Write the generated part of the page, in reStructuredText."""
    lines = []
    for row in list_models():
        name, task = row["name"], row["task"]
        title = f"``{name}``" if task == "mask" else f"``{name}`` (inpainting)"
        card = load_model(name, task=task, device="cpu").card
        network = load_model(name, task=task, device="cpu").network
        n_parameters = sum(p.numel() for p in network.parameters())
        lines += [title, "^" * len(title), "", card.description, ""]
        for field, label in FIELDS.items():
            value = getattr(card, field)
            if field == "unit":
                value = value or "any"
            if field == "threshold" and task != "mask":
                continue
            if value not in ("", [], {}):
                lines.append(f":{label}: {describe(value)}")
        lines += [
            f":Network: {card.architecture}, {describe(card.arguments)}; "
            f"{n_parameters} parameters, receptive radius {network.radius} px",
            "",
        ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
