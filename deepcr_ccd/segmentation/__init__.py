"""Pixels that hang together: labels, sizes, growth, hysteresis."""
