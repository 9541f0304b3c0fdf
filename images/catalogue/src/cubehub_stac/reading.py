"""All that the catalogue offers, and where it stands: the operator's files, what people registered and what they share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cubehub_stac import own_items, shared
from cubehub_stac.files import FileFolder
from cubehub_stac.sources import Contents, read_contents

if TYPE_CHECKING:
    from cubehub_stac.config import Config


@dataclass(frozen=True)
class Source:
    """Where it stands."""

    items: tuple[str, ...]
    """Files and folders of what is for everybody."""
    own: str
    """Folder of what people registered."""
    shared: tuple[str, ...] = ()
    """Folders of what is for some, each file saying for whom."""
    folders: tuple[FileFolder, ...] = ()
    """Folders whose files are given out; relative links of the operator's items lead there."""

    @classmethod
    def of(cls, config: Config) -> Source:
        """As the configuration says."""
        return cls(config.items, str(config.own_dir), config.shared, config.file_folders)

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.items, self.own, *self.shared)

    def encode(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Source:
        """From a command line."""
        given = json.loads(text)
        folders = tuple(FileFolder(**folder) for folder in given["folders"])
        return cls(tuple(given["items"]), given["own"], tuple(given["shared"]), folders)

    def read(self) -> Contents:
        """Read everything; what people registered stands before what is shared under the same name."""
        contents = read_contents(self.items, self.folders)
        more = own_items.contents_of(
            [*shared.records(self.shared), *own_items.records(Path(self.own))],
        )
        contents.collections.update(more.collections)
        contents.items.update(more.items)
        return contents
