"""Frames whose truth is known: scenes, cosmic rays, defects, camera."""
