"""Which images are frames, and whose a plane of flags or noise is: by headers alone."""

import pytest

from deepcr_ccd.io.extensions.find_images import find_images, fits_into, read_choice
from deepcr_ccd.io.extensions.hdu_info import HduInfo
from deepcr_ccd.io.extensions.names import read_name

FRAME = (100, 120)


def extensions(*items):
    """Extensions of a file: each a name, or (name, ver), or with other facts."""
    found = []
    for index, item in enumerate(items):
        facts = {"shape": FRAME}
        if isinstance(item, tuple):
            name, ver = item
            facts |= {"name": name, "ver": ver, "has_ver": True}
        elif isinstance(item, dict):
            facts |= item
        else:
            facts["name"] = item
        if facts["name"] == "PRIMARY":
            facts["shape"] = item.get("shape", FRAME) if isinstance(item, dict) else ()
        found.append(HduInfo(index, **facts))
    return found


def pairs(*items, chosen=()):
    found = find_images(extensions("PRIMARY", *items), chosen)
    return {index: found.planes[index] for index in found.images}


def images(*items, chosen=()):
    found = find_images(extensions("PRIMARY", *items), chosen)
    assert not set(found.images) & set(found.left)
    return found.images, sorted(found.left)


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("sci", "science", ()),
        ("SCI_2", "science", ("2",)),
        ("N1", "unknown", ("N", "1")),
        ("CHIP1.INT1", "unknown", ("CHIP", "1", "INT", "1")),
        ("", "unknown", ()),
        ("DQ", "DQ", ()),
        ("DQ01", "DQ", ("1",)),
        ("SCI_DQ", "DQ", ()),
        ("n1_mask", "MASK", ("N", "1")),
        ("N1MASK", "MASK", ("N", "1")),
        ("CHIP1.DQ", "DQ", ("CHIP", "1")),
        ("[ERR]", "ERR", ()),
        ("CHIPERR", "ERR", ("CHIP",)),
        ("VARIANCE", "VAR", ()),
        ("DET01-IVAR", "IVAR", ("DET", "1")),
        ("PIXELDQ", "DQ", ("PIXEL",)),
        ("OBJMASK", "MASK", ("OBJ",)),
        ("CRMASK", "other", ("CRMASK",)),
        ("VAR_POISSON", "VAR", ("POISSON",)),
        ("SKYMODEL", "other", ("SKYMODEL",)),
        ("EXP", "weak", ("EXP",)),
        ("WCSDVARR", "table", ()),
        ("D2IMARR", "table", ()),
    ],
)
def test_names(name, kind, stem):
    label = read_name(name)
    assert (label.kind, label.stem) == (kind, stem)


def test_all_images_of_a_mosaic_are_frames():
    assert images("N1", "N2", "S1", "FN1") == ([1, 2, 3, 4], [])
    assert images("CHIP1", "CHIP2") == ([1, 2], [])
    assert images("", "", "") == ([1, 2, 3], [])
    assert images("N1", "N1") == ([1, 2], [])
    found = find_images(extensions({"name": "PRIMARY", "shape": FRAME}, "CHIP2"))
    assert found.images == [0, 1]


@pytest.mark.parametrize(
    "name",
    "DQ MASK BPM BADPIX ERR VAR IVAR WHT UNCERT UNCERTAINTY PIXELDQ GROUPDQ SIGMA RMS "
    "STD NOISE WEIGHT EXP EXPMAP CTX CON SKY BKG BACKGROUND SKYMODEL CRMASK FLAGS "
    "OBJMASK TRACE WAVE WAVELENGTH TRUTH PSFIMAGE".split(),
)
@pytest.mark.parametrize("form", ["{}", "{}1", "{}_1", "CHIP1_{}", "CHIP1.{}"])
def test_what_is_known_to_be_something_else_is_no_frame(name, form):
    found, left = images("CHIP1", form.format(name.lower()))
    assert found == [1]
    assert left in ([], [2])


def test_only_images_named_sci_are_frames_where_there_are_any():
    assert images("RAW", "SCI", "WHT", "CTX") == ([2], [1, 4])
    assert images("sci", "Sci", "FOO") == ([1, 2], [3])
    assert images("SCI1", "SCI_2", "FOO") == ([1, 2], [3])


def test_lookup_tables_and_tables_are_not_spoken_of():
    table = {"name": "MASK", "shape": (), "is_image": False}
    assert images("SCI", "D2IMARR", "WCSDVARR", table) == ([1], [])
    assert pairs("SCI", table) == {1: {}}


def test_names_that_may_be_frames_are_frames_if_there_are_no_others():
    assert images("EXP1", "EXP2", "OBJMASK") == ([1, 2], [3])
    assert images("SKY") == ([1], [])
    assert images("SKY", "CHIP") == ([2], [1])


def test_narrow_images_are_no_frames_beside_others():
    thumb = {"name": "THIS", "shape": (2, 2)}
    assert images("CHIP", {"name": "", "shape": (1, 500)}, thumb) == ([1], [2, 3])
    assert images({"name": "", "shape": (1, 500)}) == ([1], [])
    found = find_images(extensions({"name": "PRIMARY", "shape": (1, 1)}, "CHIP1"))
    assert found.images == [1]


def test_integers_beside_floats_look_like_flags():
    flags = {"name": "", "is_integer": True}
    assert images("", flags) == ([1], [2])
    # of another shape, of a chip's name, or all integers: frames
    assert images("", flags | {"shape": (100, 100)}) == ([1, 2], [])
    assert images("CHIP1", flags | {"name": "CHIP2"}) == ([1, 2], [])
    assert images(flags, flags) == ([1, 2], [])
    assert images(flags, flags | {"is_byte": True}) == ([1], [2])


@pytest.mark.parametrize("shape", [(50,), (1, 2, 8, 8)])
def test_a_sci_that_is_no_frame_is_an_error(shape):
    wrong = {"name": "SCI", "shape": shape}
    for items in ([wrong, "PIXELDQ"], [wrong, "CHIP"], ["SCI", wrong]):
        with pytest.raises(ValueError, match=r"SCI,1 has shape .*; allowed are"):
            images(*items)
    assert images(wrong, "CHIP", chosen=["CHIP"]) == ([2], [])


def test_a_sci_without_pixels():
    empty = {"name": "SCI", "shape": ()}
    assert images(empty, "SCI") == ([2], [])
    with pytest.raises(ValueError, match="SCI,1 holds no pixels"):
        images(empty, "CHIP")


def test_no_frame_at_all():
    with pytest.raises(ValueError, match="holds no image of two or three dimensions$"):
        images({"name": "FOO", "shape": (5,)})
    with pytest.raises(ValueError, match="but DQ,1, ERR,1, which by name are no fr"):
        images("DQ", "ERR")


def test_frames_can_be_chosen():
    mosaic = ("N1", "N1_MASK", "N2", "S1", ("SCI", 2))
    for chosen, expected in (
        (["N2"], [3]),
        (["n2", "S1"], [3, 4]),
        ([3], [3]),
        (["3", 1], [1, 3]),
        (["N*"], [1, 3]),
        (["?1"], [1, 4]),
        (["sci,2"], [5]),
        (["N1_MASK"], [2]),
    ):
        assert images(*mosaic, chosen=read_choice(chosen))[0] == expected
    with pytest.raises(ValueError, match=r"ext='Q\*' is no extension of the file"):
        images(*mosaic, chosen=["Q*"])
    with pytest.raises(
        ValueError, match=r"its images: 1 \(N1,1\), 2 \(N1_MASK,1\), 3 "
    ):
        images(*mosaic, chosen=["SCI,1"])
    with pytest.raises(ValueError, match=r"ext='0' has shape \(\); allowed are"):
        images(*mosaic, chosen=["0"])
    with pytest.raises(ValueError, match="matches only what is no frame; name such"):
        images(*mosaic, chosen=["*_MASK"])
    table = {"name": "CAT", "shape": (), "is_image": False}
    with pytest.raises(ValueError, match="ext='CAT' is no image"):
        images("N1", table, chosen=["CAT"])


def test_choices():
    assert read_choice(None) == ()
    assert read_choice("N*") == ("N*",)
    assert read_choice(3) == ("3",)
    assert read_choice(["A", 2, ("SCI", 2)]) == ("A", "2", "SCI,2")
    for wrong in ("", " ", -1, ["A", ""]):
        with pytest.raises(ValueError, match="must hold names"):
            read_choice(wrong)
    for wrong in (1.5, [None], True):
        with pytest.raises(TypeError):
            read_choice(wrong)


def test_planes_go_by_extver():
    assert pairs(
        ("SCI", 1), ("ERR", 1), ("DQ", 1), ("SCI", 2), ("ERR", 2), ("DQ", 2)
    ) == {1: {"ERR": 2, "DQ": 3}, 4: {"ERR": 5, "DQ": 6}}
    # in whatever order
    assert pairs(("DQ", 2), ("SCI", 1), ("SCI", 2), ("DQ", 1)) == {
        2: {"DQ": 4},
        3: {"DQ": 1},
    }
    # and where some are absent
    assert pairs(("SCI", 1), ("SCI", 2), ("DQ", 2)) == {1: {}, 2: {"DQ": 3}}
    assert pairs(("SCI", 1), ("DQ", 1), ("DQ", 2)) == {1: {"DQ": 2}}
    # EXTVER is 1 where it is absent
    assert pairs("SCI", ("SCI", 2), ("DQ", 2), "DQ") == {1: {"DQ": 4}, 2: {"DQ": 3}}


def test_planes_go_by_names():
    assert pairs("SCI1", "DQ1", "SCI2", "DQ2") == {1: {"DQ": 2}, 3: {"DQ": 4}}
    assert pairs("SCI1", "SCI2", "DQ2", "DQ1") == {1: {"DQ": 4}, 2: {"DQ": 3}}
    assert pairs("N1", "S1", "S1_MASK", "N1_MASK") == {1: {"MASK": 4}, 2: {"MASK": 3}}
    assert pairs("CHIP1", "CHIP2", "DQ2", "DQ1") == {1: {"DQ": 4}, 2: {"DQ": 3}}
    assert pairs("A", "B", "B.VAR") == {1: {}, 2: {"VAR": 3}}
    assert pairs("IMAGE", "MASK", "VARIANCE") == {1: {"MASK": 2, "VAR": 3}}
    assert pairs("CCDID 1-1.SCI", "CCDID 1-1.RMS", "CCDID 1-1.ERR") == {
        1: {"RMS": 2, "ERR": 3}
    }
    # CCDData's own layout, with another image behind it
    found = find_images(
        extensions({"name": "PRIMARY", "shape": FRAME}, "MASK", "UNCERT", "FOO")
    )
    assert found.planes == {0: {"MASK": 1, "UNCERT": 2}, 3: {}}


def test_planes_go_by_order():
    assert pairs("SCI", "DQ", "SCI", "DQ") == {1: {"DQ": 2}, 3: {"DQ": 4}}
    assert pairs("DQ", "SCI", "DQ", "SCI") == {2: {"DQ": 1}, 4: {"DQ": 3}}
    assert pairs("SCI", "SCI", "DQ", "DQ") == {1: {"DQ": 3}, 2: {"DQ": 4}}
    assert pairs("", "", "MASK", "MASK") == {1: {"MASK": 3}, 2: {"MASK": 4}}
    assert pairs("FOO", "DQ") == {1: {"DQ": 2}}
    # all of one version
    assert pairs(("SCI", 1), ("DQ", 1), ("SCI", 1), ("DQ", 1)) == {
        1: {"DQ": 2},
        3: {"DQ": 4},
    }
    # those that this package adds to a mosaic
    assert pairs("", "", ("MASK", 1), ("MASK", 2)) == {1: {"MASK": 3}, 2: {"MASK": 4}}


@pytest.mark.parametrize(
    "items",
    [
        ("SCI", "SCI", "DQ"),
        ("SCI", "DQ", "DQ"),
        ("SCI", "DQ1", "DQ2"),
        ("SCI", "DQ", "DQ", "SCI"),
        ("", "", "MASK"),
        ("N1", "N2", "BPM"),
        ("SCI", "SCI", "ERR"),
        (("SCI", 1), ("SCI", 2), "DQ"),
        (("SCI", 1), ("DQ", 2)),
        (("SCI", 1), ("SCI", 2), ("DQ", 1), ("DQ", 3)),
    ],
)
def test_what_stays_ambiguous_is_refused(items):
    with pytest.raises(ValueError, match="it is not clear which (DQ|MASK|BPM|ERR) bel"):
        pairs(*items)


def test_weights_may_be_nobodys():
    assert pairs("N1", "N2", "WHT") == {1: {}, 2: {}}
    assert images("N1", "N2", "WHT") == ([1, 2], [3])
    assert pairs("N1", "N2", "N2_WHT") == {1: {}, 2: {"WHT": 3}}


def test_planes_of_other_things_are_left():
    assert images("CHIP1", "OBJMASK", "SKY_VAR") == ([1], [2, 3])
    assert pairs("CHIP1", "OBJMASK", "SKY_VAR") == {1: {}}
    assert images(("SCI", 1), ("DQ", 1), ("DQ", 2)) == ([1], [3])


def test_reasons():
    flags = {"name": "", "is_integer": True}
    narrow = {"name": "", "shape": (1, 9)}
    known = extensions("PRIMARY", "", flags, narrow, "SKY_VAR", "SKY")
    assert find_images(known).left == {
        2: "looks like flags",
        3: "narrow",
        4: "belongs to none",
        5: "",
    }


def test_planes_keep_their_images_where_others_are_chosen():
    items = ("SCI", "DQ", "SCI", "DQ")
    assert pairs(*items, chosen=[3]) == {3: {"DQ": 4}}
    assert images(*items, chosen=[3]) == ([3], [1])
    # What is cleaned is no plane.
    assert pairs("SCI", "ERR", chosen=["ERR"]) == {2: {}}


def test_headers_name_planes():
    """ESO's SCIDATA, ERRDATA and QUALDATA, with what HDUCLAS2 and HDUCLAS3 say."""
    data = {"name": "DATA", "companions": {"ERRDATA": "STAT", "QUALDATA": "Q"}}
    stat = {"name": "STAT", "role": "ERROR", "form": "MSE"}
    flags = {"name": "Q", "role": "QUALITY", "form": "FLAG32BIT"}
    assert pairs(data, flags, stat) == {1: {"DQ": 2, "VAR": 3}}
    assert pairs(data, stat | {"form": "RMSE"}) == {1: {"ERR": 2}}
    # the planes name their image
    owned = {"companions": {"SCIDATA": "CHIP2"}}
    assert pairs("CHIP1", "CHIP2", flags | owned, stat | owned) == {
        1: {},
        2: {"DQ": 3, "VAR": 4},
    }
    with pytest.raises(ValueError, match="Q,1 is named as the DQ of more than one im"):
        pairs(data, data | {"name": "B"}, flags)
    # before EXTVER and order
    swapped = [
        {"name": name, "companions": {"QUALDATA": other}}
        for name, other in (("A", "DQ2"), ("B", "DQ1"))
    ]
    assert pairs(*swapped, "DQ1", "DQ2") == {1: {"DQ": 4}, 2: {"DQ": 3}}
    # a name that is not there says nothing
    assert pairs({"name": "A", "companions": {"QUALDATA": "X"}}, "DQ") == {1: {"DQ": 2}}


def test_masks_of_this_package_name_their_image():
    mask = {"name": "MASK", "has_ver": True}
    of_second = mask | {"owner": (2, "2")}
    assert pairs("", "", of_second) == {1: {}, 2: {"MASK": 3}}
    assert pairs("", "", of_second, mask | {"owner": (1, "1")}) == {
        1: {"MASK": 4},
        2: {"MASK": 3},
    }
    assert pairs("N1", "N2", mask | {"owner": (1, "N1")}) == {1: {"MASK": 3}, 2: {}}
    # no longer the same image
    for wrong in ([(1, "N2")], [(1, "N1"), (1, "N1"), (1, "N1")]):
        masks = [mask | {"owner": owner} for owner in wrong]
        with pytest.raises(ValueError, match="it is not clear which MASK"):
            pairs("N1", "N2", *masks)


@pytest.mark.parametrize(
    ("plane", "image", "expected"),
    [
        ((9, 8), (9, 8), True),
        ((9, 8), (5, 9, 8), True),
        ((1, 9, 8), (5, 9, 8), True),
        ((1, 1, 9, 8), (9, 8), True),
        ((9, 8), (1, 9, 8), True),
        ((5, 9, 8), (5, 9, 8), True),
        ((5, 9, 8), (9, 8), False),
        ((4, 9, 8), (5, 9, 8), False),
        ((8, 9), (9, 8), False),
        ((8,), (9, 8), False),
        ((5, 9), (5, 9, 8), False),
    ],
)
def test_shapes(plane, image, expected):
    assert fits_into(plane, image) == expected


@pytest.mark.parametrize(
    "name",
    "ERRORS VARIANCES UNCERTAINTIES WEIGHTS SIG SIGMAP ERRMAP ERRIMG VARIMG IVARIMG "
    "NOISEMAP NOISE_MAP INVERSE_VARIANCE WEIGHT_MAP CONF CONFMAP STD STD_DEV".split(),
)
def test_noise_is_paired_by_any_of_its_names(name):
    for first in ({"name": "PRIMARY", "shape": FRAME}, "SCI"):
        found = find_images(extensions(first, name))
        assert found.images == [0]
        assert list(found.planes[0].values()) == [1]
        assert found.left == {}


@pytest.mark.parametrize(
    "name",
    "SKYMAP EXPTIME COVMAP FLAT CHI2 SNR QFLAG BPIX MASKS RESID".split(),
)
def test_other_planes_beside_a_primary_image_are_left(name):
    found = find_images(extensions({"name": "PRIMARY", "shape": FRAME}, name))
    assert (found.images, found.left) == ([0], {1: ""})


def test_images_of_pypeit():
    names = ["SCIIMG", "SCALEIMG", "SKYMODEL", "ARCIMG", "TILTS", "IVARRAW"]
    assert images(*[f"DET01-{name}" for name in names])[0] == [1]


def test_a_lone_plane_of_noise_is_that_of_the_lone_image():
    names = ["CAMERA.CCD 1.1 cal", "CAMERA.CCD 1.1 uncert"]
    assert pairs(*names) == {1: {"UNCERT": 2}}
    assert pairs("SCI", "DERR") == {1: {"ERR": 2}}
    assert pairs("SCI", "N7_UNC", "DERR") == {1: {}}
    assert pairs("SCI", {"name": "DERR", "shape": (9, 9)}) == {1: {}}


def test_numbers_of_images_without_names_that_are_no_longer_true():
    masks = [{"name": "MASK", "owner": (n, str(n))} for n in (1, 2, 3)]
    assert pairs("", "", "", *masks) == {n: {"MASK": n + 3} for n in (1, 2, 3)}
    assert pairs("", "", "", masks[1]) == {1: {}, 2: {"MASK": 4}, 3: {}}
    assert pairs("", "", *masks[1:]) == {1: {"MASK": 3}, 2: {"MASK": 4}}
    for count in (1, 2):
        with pytest.raises(ValueError, match="not clear which MASK belongs"):
            pairs(*[""] * count, *masks[: count + 1])


def test_a_name_and_version_as_astropy_has_them():
    assert read_choice(("SCI", 2)) == ("SCI,2",)
    assert read_choice(("A", "B")) == ("A", "B")
    for wrong in (b"SCI", {"SCI": 1}):
        with pytest.raises(TypeError, match="must be a name, a number or a list"):
            read_choice(wrong)
    with pytest.raises(ValueError, match=r"ext=\[\] must hold at least one"):
        read_choice([])
