"""Files for the attacks of ``reliability.py``: good, damaged, and no files at all."""

import bz2
import gzip
import lzma
import os
import re
import socket
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.io import fits

from deepcr_ccd.demo import simulate

BLOCK = 2880
#: What damaged cards hold: too large, too small, no number, another type.
VALUES = (-1, 0, 1, 3, 255, 999, 10**6, 10**9, 10**12, 10**15, -(10**15), 2**63)
VALUES += (1e15, 1.5, 1e-300, 1e308, True, "x", "", "9PB(1)", "RICE_1", "NaN")
GZIPPED = rb"(\x1f\x8b\x08\x00)...."
PACKERS = {
    ".gz": partial(gzip.compress, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def pixels(rng, size=64):
    """Return a simulated frame, shifted at random."""
    shape = (size, size)
    frame = simulate(shape, n_stars=size // 8, n_tracks=size // 8, seed=1).data
    return np.roll(frame, rng.integers(0, size, 2), (0, 1)).astype(np.float32)


def good_files(seed=0):
    """Return files of several layouts: the contents by the layout's name."""
    rng = np.random.default_rng(seed)
    frame = pixels(rng)
    whole = np.rint(frame).astype(np.int16)
    columns = [fits.Column("a", "J", array=np.arange(9)), fits.Column("b", "PE()")]
    several = [
        fits.PrimaryHDU(),
        fits.ImageHDU(frame, name="SCI"),
        fits.ImageHDU(np.sqrt(frame), name="ERR"),
        fits.ImageHDU(np.zeros(frame.shape, np.int16), name="DQ"),
        fits.BinTableHDU.from_columns(columns[:1], name="WCSCORR"),
    ]
    layouts = {
        "float": [fits.PrimaryHDU(frame)],
        "integer": [fits.PrimaryHDU(whole)],
        "unsigned": [fits.PrimaryHDU(whole.astype(np.uint16))],
        "cube": [fits.PrimaryHDU(np.stack([frame, frame + 1]))],
        "extensions": several,
    }
    for kind in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"):
        image = fits.CompImageHDU(whole, name="SCI", compression_type=kind)
        layouts[kind] = [fits.PrimaryHDU(), image]
    floats = fits.CompImageHDU(frame, name="SCI", compression_type="RICE_1")
    layouts["quantised"] = [fits.PrimaryHDU(), floats]
    return {name: as_bytes(hdus) for name, hdus in layouts.items()}


def as_bytes(hdus):
    """Return a FITS file of header and data units."""
    stream = BytesIO()
    fits.HDUList(hdus).writeto(stream)
    # Tiles that are gzipped hold the time, which is to be the same in each run.
    return re.sub(GZIPPED, rb"\1\0\0\0\0", stream.getvalue(), flags=re.DOTALL)


def headers(content):
    """Return where each header begins, and where its card END is."""
    starts = [0] + [
        place
        for place in range(BLOCK, len(content), BLOCK)
        if content[place : place + 8] == b"XTENSION"
    ]
    return [(start, content.index(b"END" + b" " * 77, start)) for start in starts]


def set_card(content, unit, key, value):
    """Return a file with another value in a card of a unit, or with one card more."""
    start, end = headers(content)[unit]
    content = bytearray(content)
    card = fits.Card(key, value).image.encode()[:80]
    for place in range(start, end, 80):
        if content[place : place + 8].rstrip() == key.encode():
            break
    else:
        place = end
        # END moves on, where there is room for it.
        if (end + 80) % BLOCK:
            content[end + 80 : end + 160] = b"END" + b" " * 77
    content[place : place + 80] = card
    return bytes(content)


def damage_card(content, rng):
    """Change the value of a card that tells sizes or formats."""
    units = headers(content)
    unit = int(rng.integers(len(units)))
    start, end = units[unit]
    keys = [content[p : p + 8].decode().strip() for p in range(start, end, 80)]
    keys = [key for key in keys if key and key not in ("COMMENT", "HISTORY")]
    keys += ["NAXIS", "NAXIS1", "NAXIS2", "NAXIS999", "BITPIX", "TFIELDS", "GCOUNT"]
    keys += ["PCOUNT", "GROUPS", "THEAP", "BSCALE", "BZERO", "BLANK", "EXTVER", "BUNIT"]
    value = VALUES[rng.integers(len(VALUES))]
    return set_card(content, unit, keys[rng.integers(len(keys))], value)


def damage_header(content, rng):
    """Change some bytes of headers, or put a piece of the file there."""
    units = headers(content)
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start, end = units[rng.integers(len(units))]
        where = int(rng.integers(start, end + 80))
        chance = rng.random()
        if chance < 0.6:
            content[where] = rng.integers(32, 127)
        elif chance < 0.9:
            content[where] = rng.integers(256)
        else:
            length = int(rng.integers(1, 400))
            content[where : where + length] = content[:length]
    return bytes(content)


def damage_data(content, rng):
    """Change bytes behind the first header, most of them data or compressed tiles."""
    units = headers(content)
    content = bytearray(content)
    begin = units[-1][1] + 80 if rng.random() < 0.7 else units[0][1] + 80
    for _ in range(rng.integers(1, 40)):
        where = int(rng.integers(begin, len(content)))
        content[where] = rng.integers(256)
    return bytes(content)


def damage_length(content, rng):
    """Cut a file, leave a piece out, repeat one, or add junk at its end."""
    first, last = sorted(int(x) for x in rng.integers(1, len(content), 2))
    return (
        content[:first],
        content[: first // BLOCK * BLOCK],
        content[:first] + content[last:],
        content[:last] + content[first:],
        content + rng.bytes(int(rng.integers(1, 2 * BLOCK))),
    )[rng.integers(5)]


def damage_packed(content, rng):
    """Damage a file that is compressed as a whole; return its ending too."""
    ending = list(PACKERS)[rng.integers(len(PACKERS))]
    if rng.random() < 0.3:
        return PACKERS[ending](damage_card(content, rng)), ending
    content = PACKERS[ending](content)
    if rng.random() < 0.5:
        return content[: rng.integers(1, len(content))], ending
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        content[rng.integers(len(content))] = rng.integers(256)
    return bytes(content), ending


DAMAGES = {
    "cards": damage_card,
    "headers": damage_header,
    "data and tiles": damage_data,
    "lengths": damage_length,
    "gz, bz2, xz": damage_packed,
}


def fuzzed_files(folder: Path, number: int, seed: int):
    """Write damaged files, one kind of damage after the other; return paths and kinds.

    Parameters
    ----------
    folder : `pathlib.Path`
        Where to write.
    number : int
        How many.
    seed : int
        The same seed gives the same files.
    """
    whole = list(good_files().items())
    kinds = list(DAMAGES)
    found = {}
    for index in range(number):
        rng = np.random.default_rng([seed, index])
        kind = kinds[index % len(kinds)]
        layout, content = whole[rng.integers(len(whole))]
        damaged, ending = DAMAGES[kind](content, rng), ""
        if isinstance(damaged, tuple):
            damaged, ending = damaged
        path = folder / f"bad{index:04}-{layout}.fits{ending}"
        path.write_bytes(damaged)
        found[path] = kind
    return found


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        before = os.getcwd()
        os.chdir(path.parent)  # paths of sockets are short
        server.bind(path.name)
        os.chdir(before)


def _unreadable(path):
    path.write_bytes(good_files()["float"])
    path.chmod(0)


def _bomb(path):
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(bytes(10**6))


def neighbours():
    """Return what a bad file can be: functions that make it, by name."""
    whole = good_files()
    several, packed = whole["extensions"], whole["HCOMPRESS_1"]
    ones = np.ones((32, 32), np.float32)
    # The tile begins behind the one row of the table, with two bytes that name it.
    tile = -(-headers(packed)[1][1] // BLOCK) * BLOCK + 8
    contents = {
        "empty file": b"",
        "text": b"These are notes, and no frame.\n" * 200,
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(5000),
        "HEAD of FITS only": whole["float"][:100],
        "cut in half": whole["float"][: len(whole["float"]) // 2],
        "NAXIS1 of 1e12": set_card(whole["float"], 0, "NAXIS1", 10**12),
        "BITPIX of 12": set_card(whole["float"], 0, "BITPIX", 12),
        "TFIELDS of 1e15": set_card(several, 4, "TFIELDS", 10**15),
        "GCOUNT of -1": set_card(several, 1, "GCOUNT", -1),
        "PCOUNT of -1e15": set_card(several, 4, "PCOUNT", -(10**15)),
        "no END": whole["float"].replace(b"END     ", b"COMMENT ", 1),
        "ZNAXIS1 of 1e12": set_card(whole["RICE_1"], 1, "ZNAXIS1", 10**12),
        "damaged HCOMPRESS": packed[:tile] + b"\xff" * 40 + packed[tile + 40 :],
        "image of one dimension": as_bytes([fits.PrimaryHDU(ones[0])]),
        "image of four dimensions": as_bytes(
            [fits.PrimaryHDU(), fits.ImageHDU(ones[None, None], name="SCI")]
        ),
        "no image": as_bytes([fits.PrimaryHDU()]),
        "flags of another shape": as_bytes(
            [
                fits.PrimaryHDU(),
                fits.ImageHDU(ones, name="SCI"),
                fits.ImageHDU(np.ones((9, 9), np.int16), name="DQ"),
            ]
        ),
        "half of a gzip file": gzip.compress(whole["float"])[:3000],
    }
    found = {
        name: lambda path, content=content: path.write_bytes(content)
        for name, content in contents.items()
    }
    found |= {
        "pipe": os.mkfifo,
        "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "/dev/stdin": lambda path: path.symlink_to("/dev/stdin"),
        "link to nowhere": lambda path: path.symlink_to("nowhere"),
        "link to itself": lambda path: path.symlink_to(path.name),
        "socket": _socket,
        "gzip file of 300 MB": _bomb,
        "folder": Path.mkdir,
    }
    if os.geteuid():
        found["unreadable"] = _unreadable
    return found
