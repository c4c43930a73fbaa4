"""wasmcloud:messaging - messages on subjects: publish, request a reply, handle what arrives."""

from __future__ import annotations

from lattice.contracts.message import U32, Contract, Message, Operation


class PubMessage(Message, frozen=True, kw_only=True):
    subject: str
    reply_to: str | None = None
    body: bytes


class RequestMessage(Message, frozen=True, kw_only=True):
    subject: str
    body: bytes
    timeout_ms: U32


class ReplyMessage(Message, frozen=True, kw_only=True):
    subject: str
    reply_to: str | None = None
    body: bytes


class SubMessage(Message, frozen=True, kw_only=True):
    subject: str
    reply_to: str | None = None
    body: bytes


HANDLE_MESSAGE = Operation("MessageSubscriber.HandleMessage", "handle_message", SubMessage, None)

CONTRACT = Contract(
    "wasmcloud:messaging",
    operations=(
        Operation("Messaging.Publish", "publish", PubMessage, None),
        Operation("Messaging.Request", "request", RequestMessage, ReplyMessage),
    ),
    actor_operations=(HANDLE_MESSAGE,),
)
