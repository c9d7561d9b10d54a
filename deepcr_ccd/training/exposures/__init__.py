"""Truth from repeated exposures of the same field."""
