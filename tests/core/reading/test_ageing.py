from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.reading.ageing import ShelfRow, expired, surplus

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ROWS = st.lists(
    st.builds(
        lambda number, age_h, size, lasting: (number, age_h, size, lasting),
        st.integers(0, 10_000),
        st.integers(0, 500),
        st.integers(0, 10_000),
        st.booleans(),
    ),
    unique_by=lambda row: row[0],
).map(
    lambda rows: [
        ShelfRow(url=str(number), read_at=NOW - timedelta(hours=age_h), size=size, lasting=lasting)
        for number, age_h, size, lasting in rows
    ]
)


@given(ROWS)
def test_what_is_older_than_its_time_expires_unless_it_lasts(rows: list[ShelfRow]) -> None:
    gone = set(expired(rows, NOW, timedelta(days=7)))
    for row in rows:
        assert (row.url in gone) == (not row.lasting and NOW - row.read_at > timedelta(days=7))


@given(ROWS, st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_the_oldest_make_room_until_the_rest_fits_and_no_more(
    rows: list[ShelfRow], total_bytes: int, max_bytes: int
) -> None:
    gone = surplus(rows, total_bytes=total_bytes, max_bytes=max_bytes)
    by_url = {row.url: row for row in rows}
    stay = [row for row in rows if row.url not in gone and not row.lasting]
    bytes_per_size = total_bytes / max(1, sum(row.size for row in rows))
    ageing_bytes = bytes_per_size * sum(row.size for row in rows if not row.lasting)
    freed = [by_url[url].size * bytes_per_size for url in gone]

    assert not any(by_url[url].lasting for url in gone)
    assert all(by_url[url].read_at <= row.read_at for url in gone for row in stay)
    assert ageing_bytes - sum(freed) <= max_bytes + 1e-6
    if gone:
        assert ageing_bytes > max_bytes
        assert ageing_bytes - sum(freed[:-1]) > 0.8 * max_bytes - 1e-6
