"""Tests of the reports: those of a user or an id, after old ones were dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.turn.model_call import JSON, ModelCall
from web.drill.witness import observations
from web.drill.witness.formats.base import IncomingCall
from web.drill.witness.observations import Witness

_NAMES = st.sampled_from(["a", "b", "c"])
_USERS: st.SearchStrategy[JSON] = _NAMES | st.none() | st.just(5) | st.just(["a"])


@given(
    requests=st.lists(st.tuples(_NAMES | st.none(), _USERS), max_size=12),
    forget_at=st.integers(0, 20),
)
def test_reports_of_a_name_are_those_of_its_latest_requests(
    requests: list[tuple[str | None, JSON]], forget_at: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observations, "_MAX_RECORDS", 4)
        witness = Witness()
        for number, (id, user) in enumerate(requests):
            if number == forget_at:
                witness.forget()
            call = ModelCall(upstream_model="m", messages=())
            witness.begin(IncomingCall(call=call, stream=True, user=user), id, ())
    reports = witness.reports()
    kept = requests[forget_at:] if forget_at < len(requests) else requests
    assert [(one.id, one.user) for one in reports] == kept[-4:]
    for name in ("a", "b", "c", "d"):
        assert witness.reports(name) == [one for one in reports if name in (one.id, one.user)]
