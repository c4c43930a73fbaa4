"""The link service: makes short links, follows them, counts their clicks."""

import re
import secrets
import string
from dataclasses import dataclass

from nanolattice import Message, Response, http, keyvalue, log, messaging, on_message
from nanolattice.errors import Error, conflict, invalid, not_found

CODE = re.compile(r"[A-Za-z0-9_-]{3,32}")
URL = re.compile(r"https?://[^/?#\s\"<>][!-~]*")
LETTERS = string.ascii_letters + string.digits
CLICKED = "links.clicked"
GONE = "there is no such link"


@dataclass
class NewLink:
    url: str
    code: str | None = None


@dataclass
class Link:
    code: str
    url: str
    clicks: int = 0


@http.post("/links")
def create(new: NewLink) -> Response:
    if not URL.fullmatch(new.url) or len(new.url) > 2000:
        raise invalid("url: must be an address that starts with http:// or https://")
    if new.code is not None and not CODE.fullmatch(new.code):
        raise invalid("code: has 3 to 32 letters, digits, - or _")
    code = new.code or "".join(secrets.choice(LETTERS) for _ in range(7))
    if keyvalue.increment(f"claim:{code}") > 1:
        raise conflict("this code is taken")
    keyvalue.set(f"url:{code}", new.url)
    return http.json(Link(code, new.url), 201, {"location": f"/links/{code}"})


@http.get("/links/{code}")
def show(code: str) -> Link:
    return Link(code, url_of(code), int(keyvalue.get(f"clicks:{code}") or 0))


@http.delete("/links/{code}")
def forget(code: str) -> None:
    if not keyvalue.delete(f"url:{code}"):
        raise not_found(GONE)


@http.get("/{code}")
def follow(code: str) -> Response:
    url = url_of(code)
    try:
        messaging.publish(CLICKED, code)
    except Error as error:
        log.warn(f"a click on {code} is not counted: {error}")
    return Response(302, headers={"location": url, "cache-control": "no-store"})


@on_message(CLICKED)
def clicked(message: Message) -> None:
    keyvalue.increment(f"clicks:{message.text}")


def url_of(code: str) -> str:
    url = keyvalue.get(f"url:{code}")
    if url is None:
        raise not_found(GONE)
    return url
