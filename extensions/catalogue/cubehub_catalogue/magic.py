"""``%catalogue``: the search as a line or a cell, after ``%load_ext cubehub_catalogue``."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core import magic_arguments
from IPython.core.magic import Magics, line_cell_magic, magics_class

from cubehub_catalogue import cql2
from cubehub_catalogue.errors import CatalogueError
from cubehub_catalogue.searching import catalogues, search

_words: Any = magic_arguments  # which has no types


@magics_class
class CatalogueMagics(Magics):
    """The magic."""

    shell: Any

    @_words.magic_arguments()
    @_words.argument("catalogues", nargs="*", help="ids of catalogues; none lists them, `all` searches all")
    @_words.argument("-c", "--collection", action="append", help="collection; may be repeated")
    @_words.argument("-b", "--bbox", nargs=4, type=float, metavar=("WEST", "SOUTH", "EAST", "NORTH"))
    @_words.argument("-a", "--aoi", help="name of a variable with a geometry, GeoJSON or WKT")
    @_words.argument("-t", "--time", help="such as 2024-05, 2024-05-01/2024-06-15 or 2024/.. in UTC")
    @_words.argument(
        "-s", "--sort", action="append", help="field to sort by, - in front for the largest first"
    )
    @_words.argument("-x", "--text", help="a word to look for")
    @_words.argument("-n", "--most", type=int, default=100, help="as many scenes at once")
    @_words.argument("-i", "--into", help="name of a variable for what was found")
    @line_cell_magic
    def catalogue(self, line: str, cell: str | None = None) -> Any:
        """Search catalogues; in a cell, its text is the filter, such as ``eo:cloud_cover < 20``."""
        asked = _words.parse_argstring(self.catalogue, line)
        try:
            if not asked.catalogues and not any(
                vars(asked).get(name) for name in ("bbox", "time", "collection")
            ):
                return catalogues()
            everywhere = not asked.catalogues or asked.catalogues == ["all"]
            found = search(
                None if everywhere else [_plain(name) for name in asked.catalogues],
                collections=[_plain(name) for name in asked.collection] if asked.collection else None,
                bbox=asked.bbox,
                aoi=self._variable(asked.aoi) if asked.aoi else None,
                datetime=_plain(asked.time) if asked.time else None,
                filter=cql2.from_text(cell.strip()) if cell and cell.strip() else None,
                text=_plain(asked.text) if asked.text else None,
                sort=[_plain(name) for name in asked.sort] if asked.sort else None,
                most=asked.most,
            )
        except CatalogueError as error:
            # as all errors that a person can mend: in words, without a traceback
            sys.stderr.write(f"error: {error.message}\nhint: {error.hint}\n")
            return None
        if asked.into:
            self.shell.user_ns[_plain(asked.into)] = found
        return found

    def _variable(self, name: str) -> Any:
        found = self.shell.user_ns.get(name)
        if found is None:
            raise CatalogueError(
                "unknown_variable", f"There is no variable {name!r}.", "Run the cell that makes it."
            )
        return found


def _plain(text: str) -> str:
    """Take off the quotes that IPython's parser leaves around a word."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
