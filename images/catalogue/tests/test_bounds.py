import pytest
from cubehub_stac.api import MAX_DEPTH, too_deep


@pytest.mark.parametrize(
    "text",
    [
        "filter-lang=cql2-text&filter=" + "(" * 2000 + "id='a'" + ")" * 2000,
        "filter=" + "%28" * 2000,
        '{"filter": ' + '{"op": "not", "args": [' * 300 + "]}" * 300 + "}",
        "filter=" + "NOT+" * 300 + "id='a'",
        "x" * 5_000_000,
    ],
)
def test_what_would_end_the_process_is_refused(text):
    assert too_deep(text)


def test_what_people_ask_is_not():
    polygon = "[" + ",".join(f"[{x}.5,{x}.25]" for x in range(10_000)) + "]"
    assert not too_deep('{"intersects": {"type": "Polygon", "coordinates": [' + polygon + "]}}")
    assert not too_deep("filter=" + "(" * (MAX_DEPTH - 1) + "id" + ")" * (MAX_DEPTH - 1))
