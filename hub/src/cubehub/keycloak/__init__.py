"""Keycloak on one machine: fetched, started, filled with the realm; `cubehub.directory` asks it."""
