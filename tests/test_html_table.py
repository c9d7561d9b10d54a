"""What notebooks show of models and results: escaped, small, with their numbers."""

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from deepcr_ccd import list_models, load_model
from deepcr_ccd.evaluation.compare import Comparison
from deepcr_ccd.evaluation.object_scores import ObjectScores
from deepcr_ccd.evaluation.reliability import Reliability
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.html_table import html_table


class Cells(HTMLParser):
    """Texts of the cells of a table; an element that is not closed is an error."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts = set(), [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, _attrs):
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def test_text_is_escaped_and_what_is_empty_left_out():
    evil = "<script>alert(1)</script> & more"
    rows = {evil: evil, "list": [evil, 0.123456], "dict": {evil: evil}}
    empty = {"none": None, "text": "", "entries": {}, "items": []}
    cells = Cells(html_table(evil, {**rows, **empty, "zero": 0}))
    assert cells.tags <= {"table", "caption", "tr", "th", "td", "br"}
    assert cells.texts == [
        evil, evil, evil, "list", f"{evil}, 0.1235", "dict", f"{evil}: {evil}",
        "zero", "0",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["universal", "universal-inpaint"])
def test_a_model_and_its_card(name):
    model = load_model(name, device="cpu")
    card = Cells(model.card._repr_html_())
    shown = Cells(model._repr_html_())
    assert shown.texts[0] == card.texts[0] == f"Model {name}"
    assert shown.texts[1] == "runs on"
    assert shown.texts[2].startswith("cpu, ")
    assert shown.texts[3:] == card.texts[1:]
    is_mask = model.card.task == "mask"
    assert ("threshold" in card.texts) == is_mask
    if is_mask:
        place = card.texts.index("threshold")
        assert card.texts[place + 1] == f"{model.card.threshold:.4g}"
        assert model.card.fill in card.texts
    assert model.card.citation in card.texts


def test_a_card_from_anywhere_is_only_text():
    card = load_model("universal", device="cpu").card
    text = dataclasses.replace(card, name="<b>x", scores={"<i>": {"<u>": "<s>"}})
    cells = Cells(text._repr_html_())
    assert cells.texts[0] == "Model <b>x"
    assert not cells.tags & {"b", "i", "u", "s"}


def test_the_list_of_models():
    cells = Cells(list_models()._repr_html_())
    assert {"name", "task", "universal", "threshold"} <= set(cells.texts)
    assert "citation" not in cells.texts


@pytest.fixture
def scored(rng):
    truth = np.zeros((50, 50), dtype=bool)
    truth[10, 10:14] = truth[30, 30] = True
    probability = np.where(truth, 0.9, 0.01) + rng.uniform(0, 0.05, truth.shape)
    return probability, truth


def test_a_roc_curve(scored):
    roc = RocCurve()
    assert Cells(roc._repr_html_()).texts[1:] == [
        "affected pixels", "0", "clean pixels", "0"
    ]  # fmt: skip
    roc.add(*scored)
    texts = Cells(roc._repr_html_()).texts
    assert texts[:5] == [
        "ROC curve", "affected pixels", "5", "clean pixels", "2495"
    ]  # fmt: skip
    assert "at a false positive rate of 0.05 %" in texts
    assert texts[-1].startswith("true positive rate 100.00 %, threshold 0.0")
    tolerant = RocCurve(tolerant=True)._repr_html_()
    assert "tolerance of one pixel" in Cells(tolerant).texts[0]


def test_objects_and_reliability(scored):
    probability, truth = scored
    score, reliability = ObjectScores(), Reliability()
    assert Cells(score._repr_html_()).texts[-2:] == ["false objects", "0"]
    assert Cells(reliability._repr_html_()).texts[0] == "Table length=0"
    flags = truth.copy()
    flags[30, 30], flags[40, 40] = False, True
    score.add(flags, truth, truth * 100.0)
    reliability.add(probability, truth)
    texts = Cells(score._repr_html_()).texts
    assert texts[texts.index("completeness") + 1] == "50.0 %"
    assert texts[texts.index("purity") + 1] == "50.0 %"
    assert "covered" in texts
    assert {"number", "2495", "5"} <= set(Cells(reliability._repr_html_()).texts)


def test_a_comparison():
    line = np.array([0.0, 1.0])
    curve = (line, line), (line, line)
    texts = Cells(Comparison({("<kind>", "<method>"): curve}, {})._repr_html_()).texts
    assert {"<kind>", "<method>", "TPR at 0.5%"} <= set(texts)
