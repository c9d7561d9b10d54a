"""Models of deepcr_ccd for MyCam; deepcr_ccd finds them by an entry point."""
