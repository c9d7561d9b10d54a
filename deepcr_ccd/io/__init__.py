"""FITS files: read, and written whole or not at all, with all else as it was."""
