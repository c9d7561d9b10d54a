"""Interfaces of other packages: astroscrappy's function, and deepCR's class."""
