"""A published cube, as its publisher holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

from cubehub.publishing.errors import PublishingError


@dataclass(frozen=True)
class Published:
    """A cube that is published, or was.

    Attributes
    ----------
    id
        By which the viewer and the catalogue know it.
    name
        By which its publisher does.
    url
        Permalink into the viewer; it stays when the cube is published anew.
    zarr_url
        Address of the finest level, for ``xarray.open_zarr``; of a cube that is not public, with a token.
    item_url
        Its STAC item.
    access
        ``public``, ``account``, ``owner`` or a list of groups.
    expires
        From when nobody sees it any more.
    live
        Whether people see it.
    why
        Why not, where it is neither over nor taken back.
    size_bytes
        On the platform's disk, compressed, with all levels.
    warnings
        What could be better, each with ``where``, ``message`` and ``hint``.
    """

    id: str
    name: str
    title: str
    url: str
    zarr_url: str
    item_url: str
    owner: str
    access: str | list[str]
    expires: datetime
    live: bool
    times: int
    variables: tuple[str, ...]
    size_bytes: int
    warnings: tuple[dict[str, str], ...] = field(default=(), repr=False)
    why: str = ""

    @classmethod
    def from_json(cls, found: dict[str, Any], warnings: list[dict[str, str]] | None = None) -> Published:
        """Read the platform's answer."""
        return cls(
            found["id"], found["name"], found["title"], found["url"], found["zarr_url"], found["item_url"], found["owner"],
            found["access"], datetime.fromtimestamp(found["expires"], UTC), bool(found["live"]), int(found["times"]),
            tuple(found["variables"]), int(found["bytes"]), tuple(warnings or ()),
            str(found.get("why") or ""),
        )  # fmt: skip

    @property
    def embed(self) -> str:
        """HTML that shows a public cube in another page, of a site that the platform lets do so.

        Raises
        ------
        PublishingError
            The cube is not for everybody: nobody is signed in to this platform on another one's page.
        """
        if self.access != "public":
            raise PublishingError(
                f"{self.name} is for {self.access_text}, and other pages show public cubes only.",
                'Publish it with access="public", or link to its address: made.url.',
                code="not_public",
            )
        address = f"{self.url.partition('/viewer/')[0]}/embed/{self.id}"
        return f'<iframe src="{escape(address)}" title="{escape(self.title)}" width="500" height="560" loading="lazy"></iframe>'

    @property
    def access_text(self) -> str:
        """Who sees it, in words."""
        words = {"public": "everybody", "account": "people with an account", "owner": "only you"}
        return words[self.access] if isinstance(self.access, str) else f"members of {', '.join(self.access)}"

    def as_json(self) -> dict[str, Any]:
        """Give all of it for programs."""
        made = {key: getattr(self, key) for key in (
            "id", "name", "title", "url", "zarr_url", "item_url", "owner", "access", "live", "why", "times", "size_bytes",
        )}  # fmt: skip
        return made | {"expires": self.expires.isoformat(), "variables": list(self.variables)}

    @property
    def state(self) -> str:
        """Whether it is shown, in words; empty if it is."""
        return "" if self.live else f"not shown: {self.why}" if self.why else "not shown any more"

    def _repr_html_(self) -> str:
        state = f" ({escape(self.state)})" if self.state else ""
        warnings = "".join(
            f"<li>{escape(w.get('where', ''))}: {escape(w.get('message', ''))} {escape(w.get('hint', ''))}</li>"
            for w in self.warnings
        )
        return (
            f'<div><b>{escape(self.title)}</b>{state}: <a href="{escape(self.url)}" target="_blank" rel="noopener">open in the viewer</a>'
            f"<br>seen by {escape(self.access_text)} until {self.expires:%Y-%m-%d}; {self.times} times, "
            f"{self.size_bytes / 2**20:.1f} MiB; id <code>{escape(self.id)}</code>"
            + (f"<details><summary>{len(self.warnings)} things could be better</summary><ul>{warnings}</ul></details>" if warnings else "")
            + "</div>"
        )  # fmt: skip
