"""Rewriting of FITS files: pixels and keywords change, all else stays as it was."""
