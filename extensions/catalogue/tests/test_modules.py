"""Every module can be imported by itself, whichever is the first."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import cubehub_catalogue

_EACH = """
import importlib, sys
for name in sys.argv[1:]:
    for known in [one for one in sys.modules if one.partition(".")[0] == "cubehub_catalogue"]:
        del sys.modules[known]
    importlib.import_module("cubehub_catalogue")
    importlib.import_module(name)
"""


def test_every_module_can_be_the_first_that_is_imported() -> None:
    names = [one.name for one in pkgutil.walk_packages(cubehub_catalogue.__path__, "cubehub_catalogue.")]
    assert "cubehub_catalogue.sizes" in names
    done = subprocess.run(
        [sys.executable, "-c", _EACH, *names], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
