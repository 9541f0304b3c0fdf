import pytest

from xcube_cubehub.expressions import refusal


@pytest.mark.parametrize(
    "expression", ["(B08 - B04) / (B08 + B04)", "conc_chl ** 2", "where(ndvi > 0.2, ndvi, 0)", "x ** -1"]
)
def test_what_people_write_is_evaluated(expression):
    assert refusal(expression) is None


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9**9",
        "x ** y",
        "2 ** 1000",
        "(2 ** 8) ** 8",
        "1 << 10000",
        "'a' * 1000",
        "__import__('os')",
        "x +",
        "(" * 5000 + "x" + ")" * 5000,
        "+".join("x" * 200),
        "",
    ],
)
def test_what_could_cost_anything_is_not(expression):
    assert refusal(expression)
