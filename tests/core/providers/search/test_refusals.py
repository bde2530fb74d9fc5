from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Fault
from core.providers.search.refusals import Refusal, refusal_of, retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٧", None),
        ("Thu, 99 Foo 2026", None),
    ],
)
def test_a_wait_is_seconds_or_a_date(header: str, wait_s: float | None) -> None:
    assert retry_after_s(header, now=NOW) == wait_s


@given(st.one_of(st.text(), st.from_regex(r"\d{1,5000}", fullmatch=True)))
def test_no_header_is_too_strange(header: str) -> None:
    wait_s = retry_after_s(header, now=NOW)
    assert wait_s is None or wait_s >= 0


@given(st.integers(100, 999).filter(lambda status: status != 200))
def test_every_status_has_a_fault_and_plain_words(status: int) -> None:
    refusal = refusal_of(status, retry_after_s=3)
    failure = refusal.failure("Some")
    assert str(failure).startswith("Some ")
    assert failure.reason
    assert failure.fault is refusal.fault
    assert failure.fault.is_outage == (status < 400 or status >= 500)


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_plain_words(fault: Fault) -> None:
    assert " " in Refusal(fault=fault).failure("Some").reason
