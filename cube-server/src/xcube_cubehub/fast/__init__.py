"""The fast path: tiles and time series without xcube, dask or xarray, in processes of their own."""
