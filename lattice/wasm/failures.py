"""What the failure of a guest is to its caller: the guest's own, or one of the host's that it hands on."""

from __future__ import annotations

from lattice import errors, wire

TEXT_BYTES_MAX = 64 * 1024
"""A longer error text of a guest is cut; it ends in logs and replies."""

HANDED_ON = (errors.ProviderUnavailable, errors.Overloaded, errors.AnswerLost)
"""Failures of host calls that stay what they are when the guest fails with the same text: they say "later", which its
caller can act upon too. Every other is the guest's own failure: not its caller but the guest asked wrongly."""

DID_NOT_HAPPEN = (errors.Unreachable, errors.Draining)
"""Failures of host calls that may be tried again whatever the call was. That is not true of the guest's own call, which
had begun: handed on, they are an answer that was lost."""


def failure(text: bytes, host_error: bytes) -> errors.CallError:
    """`host_error` is the text of the last host call's failure, empty if that was none."""
    if text == host_error:
        error = wire.error_from_text(text.decode("utf-8", "replace"))
        if isinstance(error, HANDED_ON):
            return error
        if isinstance(error, DID_NOT_HAPPEN):
            return errors.AnswerLost(error.message)
    return errors.GuestError(text[:TEXT_BYTES_MAX].decode("utf-8", "replace"))
