"""Tiles of a frame: planned, and worked on in parallel."""
