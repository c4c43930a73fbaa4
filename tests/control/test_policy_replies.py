"""Answers of a policy service are bytes of a stranger."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lattice import errors
from lattice.control.policy_service import read_reply


@given(st.binary(max_size=200) | st.just(b'{"requestId":"1","permitted":true}'))
def test_any_bytes_are_an_answer_or_malformed(data: bytes) -> None:
    try:
        found = read_reply(data, "1", 0.0)
    except errors.MalformedMessage:
        return
    assert json.loads(data)["permitted"] is found.permitted
