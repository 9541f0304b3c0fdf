"""Code for a notebook's cell, from a search or from chosen items: pure functions, no network."""

from cubehub_catalogue.code.model import Found, Options, Place, Task, Written
from cubehub_catalogue.code.writing import write

__all__ = ["Found", "Options", "Place", "Task", "Written", "write"]
