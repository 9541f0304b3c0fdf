"""Put the rest of the repository that a running platform needs into sdist and wheel, not what tests it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOMS = ("binder", "config", "cube-server", "extensions", "images")
OWN = ("pyproject.toml", "hatch_build.py", "README.md", "src")
"""Of this room itself: people's environments get it, without the others."""
LEFT_OUT = {"tests", "scripts", "node_modules", "dist", "__pycache__"}


class Rooms(BuildHookInterface[Any]):
    """Copy the rooms to `cubehub/_data`; a build from an sdist finds them there already."""

    _copy: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; an editable install has none, because `cubehub.resources` finds the checkout."""
        hub = Path(self.root)
        carried = (hub / "src/cubehub/_data").is_dir()
        if version == "editable" or carried or "CUBEHUB_WITHOUT_ROOMS" in os.environ:
            return
        target = "src/cubehub/_data" if self.target_name == "sdist" else "cubehub/_data"
        # A copy, for the builder puts no file into two places: what is carried would be missing where it belongs
        self._copy = Path(tempfile.mkdtemp(prefix="cubehub-build-"))
        for name in OWN:
            source, copied = hub / name, self._copy / "hub" / name
            copied.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copied)
            else:
                shutil.copy2(source, copied)
        for source in (*(hub.parent / room for room in ROOMS), self._copy / "hub"):
            for path in [source] if source.is_file() else sorted(source.rglob("*")):
                inside = path.relative_to(source.parent)
                # caches and environments hide in dot folders; Zarr's metadata are dot files
                hidden = any(part.startswith(".") for part in inside.parts[:-1])
                if path.is_file() and not hidden and not LEFT_OUT.intersection(inside.parts):
                    build_data["force_include"][str(path)] = f"{target}/{inside}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the copy away."""
        del version, build_data, artifact_path
        if self._copy is not None:
            shutil.rmtree(self._copy)
