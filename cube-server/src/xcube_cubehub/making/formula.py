"""Arithmetic over bands, as a recipe file writes it, without evaluating Python.

The text is parsed, each part of it is looked up in a table of what is allowed, and the tree is walked over arrays.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from xcube_cubehub.errors import RecipeError
from xcube_cubehub.expressions import refusal

MAX_NUMBER = 1e300
"""A constant beyond is no measurement, and may be no float."""

Array = npt.NDArray[np.float64]

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: np.logical_not,
}
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs),
    "exp": (1, np.exp),
    "isfinite": (1, np.isfinite),
    "log": (1, np.log),
    "log10": (1, np.log10),
    "maximum": (2, np.maximum),
    "minimum": (2, np.minimum),
    "sqrt": (1, np.sqrt),
    "where": (3, np.where),
}
"""Functions by name, with the number of their arguments."""


@dataclass(frozen=True)
class Formula:
    """A checked expression; picklable, the tree is built again where it is used.

    Parameters
    ----------
    text : str
        Such as ``(B08 - B04) / (B08 + B04)``.

    Raises
    ------
    RecipeError
        It is not one, or says something that is not arithmetic over names.
    """

    text: str

    def __post_init__(self) -> None:
        reason = refusal(self.text)
        if reason:
            raise RecipeError(f"expression {self.text[:80]!r}: {reason}", _HINT)
        _check(self._tree)

    @cached_property
    def _tree(self) -> ast.expr:
        return ast.parse(self.text.strip(), mode="eval").body

    @cached_property
    def names(self) -> frozenset[str]:
        """The bands that it reads."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        return frozenset(
            n.id for n in ast.walk(self._tree) if isinstance(n, ast.Name) and id(n) not in called
        )

    def __call__(self, bands: Mapping[str, npt.NDArray[Any]]) -> Array:
        """The value of the expression.

        Parameters
        ----------
        bands : mapping of str to ndarray
            All of one shape.

        Returns
        -------
        ndarray of float64
            NaN where a value is missing, infinite or not a real number.
        """
        with np.errstate(all="ignore"):
            found = np.asarray(_value(self._tree, bands), np.float64)
        shape = next(iter(bands.values())).shape
        found = np.broadcast_to(found, shape)
        return np.where(np.isfinite(found), found, np.nan)


_HINT = f"write arithmetic over band names; functions: {', '.join(sorted(FUNCTIONS))}"


def _check(node: ast.expr) -> None:
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            name = part.func.id if isinstance(part.func, ast.Name) else "?"
            if name not in FUNCTIONS or part.keywords or len(part.args) != FUNCTIONS[name][0]:
                raise RecipeError(
                    f"{ast.unparse(part)[:80]!r} is no function that an expression may call", _HINT
                )
        allowed = (
            (isinstance(part, ast.BinOp) and type(part.op) in BINARY)
            or (isinstance(part, ast.UnaryOp) and type(part.op) in UNARY)
            or (isinstance(part, ast.Compare) and all(type(op) in COMPARE for op in part.ops))
            or (
                isinstance(part, ast.Constant)
                and isinstance(part.value, int | float)
                and abs(part.value) < MAX_NUMBER
            )
            or isinstance(part, _PLAIN)
        )
        if not allowed:
            raise RecipeError(f"{type(part).__name__} has no place in an expression", _HINT)


_PLAIN = (ast.Name, ast.BoolOp, ast.Call, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


def _value(node: ast.expr, bands: Mapping[str, npt.NDArray[Any]]) -> Any:  # noqa: PLR0911 - one line a kind of node
    match node:
        case ast.Name():
            return bands[node.id]
        case ast.Constant():
            return np.float64(node.value)  # type: ignore[arg-type]
        case ast.BinOp():
            return BINARY[type(node.op)](_value(node.left, bands), _value(node.right, bands))
        case ast.UnaryOp():
            return UNARY[type(node.op)](_value(node.operand, bands))
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name][1](*(_value(part, bands) for part in node.args))
        case ast.BoolOp():
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return reduce(join, (_value(part, bands) for part in node.values))
        case ast.Compare():
            chain = [_value(part, bands) for part in (node.left, *node.comparators)]
            pairs = zip(node.ops, chain, chain[1:], strict=False)
            return reduce(np.logical_and, (COMPARE[type(op)](left, right) for op, left, right in pairs))
    raise RecipeError(f"{type(node).__name__} has no place in an expression", _HINT)
