"""What is exported of a component. Importable only inside of one: componentize-py makes `wit_world` there."""

from __future__ import annotations

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host as imported
from wit_world.imports.types import Failure

from nanolattice import guest, host
from nanolattice.errors import Error

_begun: list[bool] = []


def _call(link: str, target: str, operation: str, payload: bytes) -> bytes:
    try:
        reply: bytes = imported.call(link, target, operation, payload)
        return reply
    except Err as error:
        raise Error(error.value.code, error.value.message) from None


class Guest(exports.Guest):  # type: ignore[misc]  # made by componentize-py
    def handle(self, operation: str, payload: bytes) -> bytes:
        if not _begun:
            _begun.append(True)
            guest.reseed()
        try:
            return guest.serve(operation, payload)
        except Error as error:
            raise Err(Failure(error.code, error.message)) from None


host.use(_call)
