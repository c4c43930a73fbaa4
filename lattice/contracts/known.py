"""The published contracts of capabilities, by their ids. What every actor answers besides is in `actor`."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.contracts import blobstore, builtin, cron, httpclient, httpserver, keyvalue, messaging, sqldb
from lattice.contracts.message import Contract

CONTRACTS: Mapping[str, Contract] = {
    contract.id: contract
    for contract in (
        httpserver.CONTRACT,
        httpclient.CONTRACT,
        keyvalue.CONTRACT,
        messaging.CONTRACT,
        blobstore.CONTRACT,
        sqldb.CONTRACT,
        cron.CONTRACT,
        builtin.LOGGING,
        builtin.NUMBERGEN,
    )
}
