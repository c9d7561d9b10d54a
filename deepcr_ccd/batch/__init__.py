"""Many files: clean each, survive the bad ones, on one machine or on a Dask cluster."""
