"""FITS files changed in place of pixels and keywords; all else stays byte for byte."""
