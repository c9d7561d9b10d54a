import pytest

from deepcr_ccd.models.sources.names import check_name


@pytest.mark.parametrize(
    "name", ["a", "WFC3-UVIS", "keck lris+", "v1.2_b", "x" * 100, "3"]
)
def test_names(name):
    check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "../a", "a/b", "a\\b", "a\nb", "a\x00", "ä", "a.", "-a", ".a"]
    + ["a:b", "x" * 101, "AUTO", "published", "none", "a.PTH", "a.safetensors", "a\n"],
)
def test_names_that_could_be_taken_for_something_else(name):
    with pytest.raises(ValueError, match="the model's name "):
        check_name(name)
