"""Dask Gateway as CubeHub runs it on one machine: budgets by group, every process in a sandbox."""

from cubehub_gateway.backend import SandboxBackend
from cubehub_gateway.budget import Budget, NoBudgetError, budget_of
from cubehub_gateway.configure import configure

__all__ = ["Budget", "NoBudgetError", "SandboxBackend", "budget_of", "configure"]
