from hypothesis import given
from hypothesis import strategies as st

from store.spool import framing

payloads = st.lists(st.binary(max_size=300), max_size=8)


def encoded(records: list[bytes], first: int) -> bytes:
    return b"".join(framing.encode(first + at, record) for at, record in enumerate(records))


def decoded(data: bytes, number: int | None = None) -> list[bytes]:
    """Decode all frames from the start of `data`, as the spool does."""
    found = []
    while (frame := framing.decode(data, number)) is not None:
        found.append(frame[1])
        data = data[framing.size_of(data[: framing.HEAD_SIZE]) :]
        number = frame[0] + 1
    return found


@given(payloads, st.integers(1, 2**63))
def test_encoded_frames_are_decoded(records: list[bytes], first: int) -> None:
    assert decoded(encoded(records, first) + framing.END) == records


@given(payloads, st.data())
def test_torn_tail_loses_only_the_last_records(records: list[bytes], data: st.DataObject) -> None:
    whole = encoded(records, 1)
    kept = data.draw(st.integers(0, len(whole)))
    # The unwritten part of an allocated file reads as zeros.
    found = decoded(whole[:kept] + bytes(64))
    complete = [at for at in range(len(records) + 1) if len(encoded(records[:at], 1)) <= kept]
    # A torn frame that ended in zeros is completed by those of the file.
    assert records[: complete[-1]] == found[: complete[-1]]
    assert found == records[: len(found)]


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.data())
def test_record_with_flipped_bit_is_rejected(records: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(encoded(records, 1))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    found = decoded(bytes(whole) + framing.END)
    assert found == records[: len(found)]
    assert len(found) < len(records)


@given(st.lists(st.binary(min_size=5, max_size=5), min_size=2, max_size=6), st.data())
def test_frames_of_earlier_use_are_not_read(records: list[bytes], data: st.DataObject) -> None:
    """Frames of equal size align with the old ones, so only the number tells them apart."""
    old = encoded(records, 1)
    count = data.draw(st.integers(1, len(records) - 1))
    new = encoded([b"newer"] * count, len(records) + 1)
    assert decoded(new + old[len(new) :]) == [b"newer"] * count
