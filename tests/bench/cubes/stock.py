"""Stock xcube, as its own command starts it. Run in the cubes' environment: ``stock.py CONFIG PORT``."""

import sys

from xcube.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", "-c", sys.argv[1], "--port", sys.argv[2], "--address", "127.0.0.1"]))
