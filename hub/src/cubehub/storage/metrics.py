"""A scan for Prometheus. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cubehub.storage.results import Home, Summary


def metrics(summary: Summary, homes: list[Home]) -> str:
    """A scan as Prometheus reads it, for the textfile collector of its node exporter."""
    lines = []
    for name, what, value in (
        ("bytes", "Bytes on the disk of all homes.", summary.bytes),
        ("files", "Files in all homes.", summary.files),
        ("homes", "Homes.", summary.homes),
        ("unread", "Places in homes that could not be looked into.", sum(h.unread for h in homes)),
        ("cache_bytes", "Bytes of caches and trash in all homes.", sum(s.bytes for h in homes for s in h.caches.values())),
        ("scan_timestamp_seconds", "When the scan ended.", summary.ended),
        ("scan_duration_seconds", "How long the scan took.", summary.ended - summary.started),
    ):  # fmt: skip
        full = f"cubehub_storage_{name}"
        lines += [f"# HELP {full} {what}", f"# TYPE {full} gauge", f"{full} {value:.17g}"]
    lines += [
        "# HELP cubehub_storage_home_bytes Bytes on the disk of a home.",
        "# TYPE cubehub_storage_home_bytes gauge",
    ]
    for home in homes:
        label = home.name.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'cubehub_storage_home_bytes{{home="{label}"}} {home.bytes}')
    return "\n".join(lines) + "\n"
