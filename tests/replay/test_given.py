"""What a person gives is taken as meant, or refused with what there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stagepost.engine.replay.given import moment, one_of
from stagepost.errors import BadSettings


def test_a_time_has_a_zone() -> None:
    assert moment("2026-11-20T10:00Z") == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert moment("2026-11-20T10:00+01:00").utcoffset() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("2026-11-20T10:00", "has no zone: write 2026-11-20T10:00Z"),
        ("2026-11-20", "has no zone: write 2026-11-20T00:00Z"),
        ("yesterday", "is no time: write it as 2026-11-20T10:00Z"),
        ("2026-13-20T10:00Z", "is no time"),
        ("", "is no time"),
    ],
)
def test_what_is_no_time_with_a_zone_is_refused(given: str, said: str) -> None:
    with pytest.raises(BadSettings) as refused:
        moment(given)
    assert said in str(refused.value)


def test_what_is_not_there_is_said_with_what_is_nearest() -> None:
    known = ["ordering", "payments", "inventory"]
    assert one_of("service", "payments", known) == "payments"
    with pytest.raises(BadSettings, match="there is no service 'payment'; did you mean payments"):
        one_of("service", "payment", known)
    with pytest.raises(BadSettings, match="there are: ordering, payments, inventory"):
        one_of("service", "zzz", known)
