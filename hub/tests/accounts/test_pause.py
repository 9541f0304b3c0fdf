"""How long the reconciler leaves Keycloak alone after a round."""

import pytest
from cubehub.accounts.reconciler import pause_s


@pytest.mark.parametrize(
    ("took_s", "every_s", "pause"),
    [
        (0.05, 5, 4.95),  # a small platform: the setting
        (2, 5, 6),  # 2,000 people: a quarter of the time at most
        (4.5, 5, 10),  # still within 15 s of a change
        (0.01, 60, 59.99),
        (90, 5, 10),
    ],
)
def test_large_platforms_are_asked_less_often(took_s: float, every_s: float, pause: float) -> None:
    assert pause_s(took_s, every_s) == pytest.approx(pause)
