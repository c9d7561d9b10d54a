"""Find cosmic rays and fill them: the steps for arrays in memory and for Dask's."""
