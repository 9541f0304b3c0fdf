"""Which expressions of visitors are evaluated: those whose cost is bounded before they run."""

import ast

MAX_CHARACTERS = 500
MAX_NODES = 100
MAX_EXPONENT = 8


def refusal(expression: str) -> str | None:  # noqa: PLR0911 - one line a rule
    """Why an expression over variables is not evaluated; None if it may be.

    Parameters
    ----------
    expression : str
        Python syntax over variable names, such as ``(B08 - B04) / (B08 + B04)``.

    Notes
    -----
    xcube evaluates what it is given, names bounded but not work: ``9**9**9**9`` never ends and stops the server for
    everybody. Powers therefore take a small constant exponent, and text, shifts and very long expressions are refused.
    """
    if len(expression) > MAX_CHARACTERS:
        return f"the expression is longer than {MAX_CHARACTERS} characters"
    try:
        nodes = list(ast.walk(ast.parse(expression.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "the expression is not valid"
    if len(nodes) > MAX_NODES:
        return f"the expression has more than {MAX_NODES} parts"
    for node in nodes:
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool | int | float | None):
            return "text has no place in an expression"
        if isinstance(node, ast.LShift | ast.RShift):
            return "shifts are not supported"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not _is_small(node):
            return f"a power takes a number of at most {MAX_EXPONENT} as exponent, and no power below it"
    return None


def _is_small(power: ast.BinOp) -> bool:
    exponent = power.right.operand if isinstance(power.right, ast.UnaryOp) else power.right
    if not isinstance(exponent, ast.Constant) or not isinstance(exponent.value, int | float):
        return False
    nested = any(isinstance(node, ast.Pow) for node in ast.walk(power.left))
    return exponent.value <= MAX_EXPONENT and not nested
