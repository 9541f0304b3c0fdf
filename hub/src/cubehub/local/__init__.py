"""One machine: what `cubehub up` fetches, starts and watches."""
