"""What the command says, how it ends, and what its options are called."""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from sample_files import contents, write_night

from deepcr_ccd import clean_files, cosmicray_probability
from deepcr_ccd.cli import main
from deepcr_ccd.cli.parser import build_parser, in_words_of_the_command
from deepcr_ccd.io.atomic import process_tag
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.notices import collected_warnings, warnings_by_thread
from deepcr_ccd.pipeline.detect import threshold_mask
from deepcr_ccd.segmentation.hysteresis import Thresholds

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_night(tmp_path / "night", 2)


def command(*words, env=None, stdout=subprocess.PIPE, **options):
    return subprocess.run(
        [sys.executable, "-m", "deepcr_ccd", *map(str, words)],
        env={**os.environ, **(env or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        **options,
    )


def parsers(parser, name="deepcr-ccd"):
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from parsers(below, f"{name} {word}")


def test_every_option_has_a_help_text():
    found = list(parsers(build_parser()))
    assert len(found) == 15
    for name, parser in found:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                assert all(choice.help for choice in action._choices_actions)
            else:
                assert action.help, f"{name}: {action.dest}"


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"deepcr-ccd \d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("threshold=2.0 must be in [0, 1]", "--threshold 2.0 must be in [0, 1]"),
        ("give threshold= or target_fpr=, not both",
         "give --threshold or --target-fpr, not both"),
        ("a.fits exists; overwrite=True replaces it",
         "a.fits exists; --overwrite replaces it"),
        ("unit='adu' and gain=", "--unit adu and --gain"),
        ("gain='' is wrong", "--gain '' is wrong"),
        ("mygain=3 stays, x/gain=1 too", "mygain=3 stays, x/gain=1 too"),
        ("gain=7.fits: threshold=3 is wrong", "gain=7.fits: --threshold 3 is wrong"),
        ("card of 'x': threshold=2 is not", "card of 'x': threshold=2 is not"),
    ],
)  # fmt: skip
def test_messages_in_words_of_the_command(said, expected):
    options = vars(build_parser().parse_args(["clean", "f", "-o", "o"]))
    assert in_words_of_the_command(said, options, ["gain=7.fits"]) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 2}, "threshold=2"), ({"threshold": np.nan}, "threshold=nan"),
        ({"target_fpr": 0.9}, "target_fpr=0.9"),
        ({"threshold": 0.5, "target_fpr": 1e-4}, "threshold= or target_fpr="),
        ({"grow": -1}, "grow=-1"), ({"inpaint": "magic"}, "inpaint='magic'"),
        ({"gain": -1}, "gain=-1"), ({"gain": "1,5"}, "gain='1,5'"),
        ({"gain": "1.5x"}, "gain='1.5x'"), ({"gain": ""}, "gain=''"),
        ({"readnoise": -3}, "readnoise=-3"), ({"satlevel": "65,000"}, "satlevel="),
        ({"satlevel": np.nan}, "satlevel=nan"), ({"unit": "furlong"}, "'furlong'"),
        ({"dq_bit": 5}, "dq_bit=5"), ({"dq_bit": 4096.0}, "dq_bit=4096.0"),
        ({"dq_bit": 2**63}, "2**62 or less"), ({"bad_bits": 2**63}, "to 2**63 - 1"),
        ({"bad_bits": -(2**63) - 1}, "from -2**63 to"),
        ({"bad_bits": "7"}, "bad_bits='7'"), ({"tile_size": 0}, "tile_size=0"),
        ({"tile_size": 2.5}, "tile_size=2.5"), ({"device": "cuda:99"}, "cuda:99"),
        ({"precision": "int9"}, "int9"), ({"engine": "abacus"}, "abacus"),
        ({"model": "best"}, "'best'"), ({"workers": 0}, "workers=0"),
        ({"workers": "many"}, "workers='many'"), ({"probability": True}, "masks_only"),
        ({"model": "ACS-WFC", "precision": "int8"}, "int8"),
        ({"model": "WFC3-UVIS", "inpaint": "network"}, "names none"),
    ],
)  # fmt: skip
def test_wrong_options_touch_no_file(night, tmp_path, options, expected):
    with pytest.raises((TypeError, ValueError)) as caught:
        clean_files(night, tmp_path / "out", **options)
    assert expected in str(caught.value)
    assert "--" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--threshold", "2"], "--threshold 2.0"),
        (["--gain", "1,5"], "--gain 1,5 is neither"),
        (["--tile-size", "0"], "--tile-size 0"),
        (["--workers", "0"], "--workers 0"),
        (["--target-fpr", "1e-4", "--threshold", "0.5"], "--threshold or --target-fpr"),
    ],
)
def test_errors_name_options(night, capsys, words, expected):
    assert main(["clean", str(night[0]), "-o", "out", *words]) == 1
    err = capsys.readouterr().err
    assert err.startswith("deepcr-ccd: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not os.path.exists("out")


def test_every_message_names_its_file(night, capsys):
    night[0].write_text("no FITS")
    assert main(["clean", "night", "-o", "out", "--gain", "2"]) == 1
    lines = sorted(capsys.readouterr().err.splitlines())
    assert lines[0].startswith("deepcr-ccd: error: 1 of 2 files failed")
    assert lines[1].startswith(
        f"deepcr-ccd: error: {night[0].relative_to(os.getcwd())}"
    )
    assert lines[2].startswith(
        "deepcr-ccd: warning: night/frame001.fits: --gain has no"
    )
    assert len(lines) == 3


def test_output_that_is_a_file(night, capsys):
    assert main(["clean", "night", "-o", str(night[0])]) == 1
    assert "is a file, and no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [("@list.txt", "names itself"), ("./@list.txt\n", None), ("", "names no file"),
     ("night\n@other.txt", "names itself"), ("a\0b", "is no text file")],
)  # fmt: skip
@pytest.mark.usefixtures("night")
def test_lists(tmp_path, capsys, content, expected):
    (tmp_path / "list.txt").write_text(content)
    (tmp_path / "other.txt").write_text("@list.txt")
    assert main(["clean", "@list.txt", "-o", "out"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    if expected:
        assert f"list @list.txt {expected}" in err or f"@other.txt {expected}" in err
    # Names of any bytes, and a mark of byte order.
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfnight/frame000.fits\r\n")
    assert main(["clean", "@list.txt", "-o", "out"]) == 0


@POSIX
@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"},
     {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)  # fmt: skip
def test_names_that_a_terminal_cannot_show(night, tmp_path, env):
    names = ["\u03b1 Ori.fits", "\u661f.fits", os.fsdecode(b"\xff\xfe.fits")]
    for name in names:
        (tmp_path / name).write_bytes(night[0].read_bytes())
    (tmp_path / "bad \u03b1.fits").write_text("no FITS")
    done = command("clean", *names, "bad \u03b1.fits", "-o", "out", env=env)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.count(b"\n") == 2
    assert sorted(os.listdir("out")) == sorted(names)
    assert done.stdout.count(b"\n") == 3


@POSIX
def test_names_with_ends_of_lines(night, capsys):
    night[0].rename("two\nlines.fits")
    Path("bad\r\nfile.fits").write_text("no FITS")
    assert main(["clean", "two\nlines.fits", "bad\r\nfile.fits", "-o", "out"]) == 1
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    assert line.startswith("out/two\\nlines.fits: ")
    assert err.splitlines()[0].startswith("deepcr-ccd: error: bad file.fits: ")
    assert len(err.splitlines()) == 2
    assert os.listdir("out") == ["two\nlines.fits"]


@POSIX
@pytest.mark.usefixtures("night")
def test_nobody_reads():
    read, write = os.pipe()
    os.close(read)
    done = command("clean", "night", "-o", "out", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(os.listdir("out")) == 2
    words = [sys.executable, "-m", "deepcr_ccd", "models"]
    closed = f"exec {' '.join(words)} >&-"
    done = subprocess.run(["sh", "-c", closed], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


SLOW = """
import signal, sys, time

# Where tests run in the background it may be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
import deepcr_ccd.batch.job as jobs
from deepcr_ccd.cli import main

clean_image = jobs.clean_image

def slow(*arguments):
    print("begun", flush=True)
    time.sleep(1.5)
    return clean_image(*arguments)

jobs.clean_image = slow
sys.exit(main(["clean", "night", "-o", "out", "--workers", "1", "--quiet"]))
"""


@POSIX
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + 15)]
)
@pytest.mark.usefixtures("night")
def test_ended_by_signals(number, status):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in err
    assert os.listdir("out") == []


SPOOLED = """
import sys, time
from deepcr_ccd.io import stream as spool
from deepcr_ccd.io.fits_file import FitsFile

spool.LARGEST_IN_MEMORY = 1000
file = FitsFile(sys.argv[1])
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="files without names")
def test_temporary_copies_go_with_a_killed_process(night, tmp_path):
    import gzip

    packed, temporary = tmp_path / "a.fits.gz", tmp_path / "tmp"
    packed.write_bytes(gzip.compress(night[0].read_bytes()))
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SPOOLED, str(packed)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"begun\n"
    assert os.listdir(temporary) == []
    process.kill()
    process.communicate()
    assert os.listdir(temporary) == []


def test_old_copies_are_removed_where_they_have_names(night, tmp_path, monkeypatch):
    import gzip
    import tempfile

    from deepcr_ccd.io import stream as spool

    monkeypatch.setattr(spool, "DESCRIPTORS", tmp_path / "absent")
    monkeypatch.setattr(spool, "LARGEST_IN_MEMORY", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(night[0].read_bytes()))
    host = process_tag().rpartition("-")[0]
    (tmp_path / "tmp" / f"deepcr_ccd.{host}-4194999.abc.fits").touch()
    (tmp_path / "tmp" / "deepcr_ccd.elsewhere-1.abc.fits").touch()
    file = FitsFile(packed)
    names = sorted(os.listdir(tmp_path / "tmp"))
    assert len(names) == 2
    assert any(name.startswith(f"deepcr_ccd.{process_tag()}") for name in names)
    np.testing.assert_array_equal(file.images[0].read().data, fits.getdata(night[0]))
    del file
    assert os.listdir(tmp_path / "tmp") == ["deepcr_ccd.elsewhere-1.abc.fits"]


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compressed_files(night, suffix):
    import bz2
    import gzip
    import lzma

    module = {"gz": gzip, "bz2": bz2, "xz": lzma}[suffix]
    plain = clean_files(night[:1], "plain")
    with open(f"night/frame000.fits.{suffix}", "wb") as file:
        file.write(module.compress(night[0].read_bytes()))
    night[0].unlink()
    table = clean_files(["night"], "out")
    assert table["status"].tolist() == ["done", "done"]
    result = f"out/frame000.fits.{suffix}"
    with module.open(result) as file, open(plain["output"][0], "rb") as expected:
        a, b = fits.HDUList.fromstring(file.read()), expected.read()
        b = fits.HDUList.fromstring(b)
        np.testing.assert_array_equal(a[0].data, b[0].data)
        np.testing.assert_array_equal(a["MASK"].data, b["MASK"].data)
    with open(f"night/frame000.fits.{suffix}", "r+b") as file:
        file.truncate(2000)
    table = clean_files(["night"], "out", overwrite=True)
    assert sorted(table["status"]) == ["done", "failed"]
    assert any("is truncated or corrupt" in message for message in table["message"])


def test_probability(night, capsys):
    words = ["mask", "night/frame000.fits", "-o", "out", "--probability"]
    assert main(words) == 0
    ccd = FitsFile(night[0]).images[0].read()
    with fits.open("out/frame000.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CRMASK", "CRPROB"]
        found = hdus["CRPROB"].data
        assert found.dtype == ">f4"
        np.testing.assert_array_equal(found, cosmicray_probability(ccd))
        header = hdus["CRMASK"].header
        thresholds = Thresholds(header["CRTHRESH"], header["CREXTEND"])
        mask = threshold_mask(found.astype("f4"), thresholds)
        np.testing.assert_array_equal(hdus["CRMASK"].data, mask)
    assert main([*words, "--resume"]) == 0
    assert main([*words[:-1], "--resume"]) == 0
    with fits.open("out/frame000.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CRMASK"]
    assert capsys.readouterr().out.count("skipped") == 1
    # Excluded pixels, in each plane of a stack.
    data = np.stack([ccd.data, ccd.data[::-1]])
    data[1, 5:8, 9] = np.nan
    fits.PrimaryHDU(data).writeto("stack.fits")
    assert main(["mask", "stack.fits", "-o", "out", "--probability"]) == 0
    with fits.open("out/stack.fits") as hdus:
        np.testing.assert_array_equal(np.isnan(hdus["CRPROB"].data), np.isnan(data))
        assert hdus["CRMASK"].data.shape == data.shape


def test_progress_bar(night, capsys):
    pytest.importorskip("tqdm")
    clean_files(night, "out", progress=True)
    assert "2/2" in capsys.readouterr().err


def test_warnings_of_threads_come_back(night):
    """Batches in threads, which end in another order than they began."""
    before = list(warnings.filters), warnings.showwarning
    first, second = warnings_by_thread(), warnings_by_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with collected_warnings() as messages:
        warnings.warn("seen", stacklevel=1)
    assert messages == ["seen"]
    second.__exit__(None, None, None)
    assert (list(warnings.filters), warnings.showwarning) == before
    threads = [
        threading.Thread(target=clean_files, args=(night, f"out{i}")) for i in range(4)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert (list(warnings.filters), warnings.showwarning) == before
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", UserWarning, stacklevel=1)
    assert sum(len(contents(night[0].parents[1] / f"out{i}")) for i in range(4)) == 8


def test_warnings_of_other_threads_are_theirs():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "quiet")
        warnings.filterwarnings("error", "loud")
        with warnings_by_thread():
            warnings.warn("heard", UserWarning, stacklevel=1)
            warnings.warn("quiet", UserWarning, stacklevel=1)
            with pytest.raises(UserWarning, match="loud"):
                warnings.warn("loud", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["heard"]
