"""xpublish-tiles with one cube. Run in an environment of its own: ``xpublish_app.py ZARR PORT``."""

import sys

import uvicorn
import xarray as xr
import xpublish
from xpublish_tiles.xpublish.tiles import TilesPlugin


def main() -> None:
    """Serve."""
    cube = xr.open_zarr(sys.argv[1])
    rest = xpublish.Rest({"cube": cube}, plugins={"tiles": TilesPlugin()})
    uvicorn.run(rest.app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")


if __name__ == "__main__":
    main()
