"""A token server in this process, for a registry that trusts its certificate: who it gives what is a test's choice."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from lattice.artifacts.credentials import Credential
from tests.support.registry import PASSWORD, USER

ISSUER, SERVICE, IDENTITY = "tests", "registry-of-tests", "an-identity-token-that-no-log-may-show"


class TokenServer:
    """Anybody may pull, USER with PASSWORD may push; so may who has the token IDENTITY."""

    def __init__(self, folder: Path) -> None:
        """`folder` has ca.pem, server.pem and server.key: see `write_certificates`."""
        key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        certificate = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
        self._chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
        self.bundle = folder / "ca.pem"
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.port = 0

    @property
    def auth(self) -> dict[str, Any]:
        """The registry's section."""
        realm = f"http://127.0.0.1:{self.port}/token"
        return {"token": {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.bundle)}}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = (
            dict(request.query) if request.method == "GET" else {k: str(v) for k, v in (await request.post()).items()}
        )
        self.seen.append((request.method, asked))
        header = request.headers.get("Authorization", "")
        known = asked.get("refresh_token") == IDENTITY
        if header:
            if header != Credential(USER, PASSWORD).basic:
                return web.Response(status=401)
            known = True
        kind, name, actions = asked["scope"].split(":")
        allowed = [action for action in actions.split(",") if known or action == "pull"]
        return web.json_response({"token": self._signed([{"type": kind, "name": name, "actions": allowed}])})

    def _signed(self, access: list[dict[str, Any]]) -> str:
        now = int(time.time())
        head = {"typ": "JWT", "alg": "ES256", "x5c": self._chain}
        body = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "exp": now + 300, "nbf": now - 10, "iat": now, "jti": "1"}
        text = f"{_part(head)}.{_part({**body, 'access': access})}"
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _part(document: dict[str, Any]) -> str:
    return _encoded(json.dumps(document).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@asynccontextmanager
async def token_server(folder: Path) -> AsyncIterator[TokenServer]:
    server = TokenServer(folder)
    runner = web.ServerRunner(web.Server(server))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
