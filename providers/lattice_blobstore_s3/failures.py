"""What S3 and its client raise, as the errors of this project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore import exceptions as s3_errors
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from lattice_blobstore import ContainerNotEmpty, NoContainer, NoObject

from lattice import errors

NO_OBJECT = {"NoSuchKey", "404", "NotFound"}
NO_BUCKET = {"NoSuchBucket"}
NOT_REACHED = (
    s3_errors.HTTPClientError,
    s3_errors.ConnectionError,
    aiohttp.ClientError,
    TimeoutError,
    ConnectionError,
)
CHANGED = {"PreconditionFailed", "412"}
RANGE = {"InvalidRange", "416"}


def code_of(error: ClientError) -> str:
    """The service's own code, or the HTTP status where a reply has no body (HEAD)."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


@contextmanager
def translated(what: str, container: str = "", object_: str = "") -> Iterator[None]:
    """Raises what fits: `NoContainer`, `NoObject`, `ContainerNotEmpty`, `ProviderUnavailable` or `ProviderError`.

    Of the service's answer only code and message are passed on; neither holds a secret.
    """
    try:
        yield
    except ClientError as error:
        raise _from_answer(error, what, container, object_) from error
    except ParamValidationError as error:
        raise errors.ProviderError(
            f"{what} is not possible: S3 does not allow this id", remedy="see the rules for ids in the provider's page"
        ) from error
    except NOT_REACHED as error:
        raise errors.ProviderUnavailable(
            f"{what} failed: the S3 service cannot be reached ({type(error).__name__})",
            remedy="check the endpoint and the network",
        ) from error
    except BotoCoreError as error:
        raise errors.ProviderError(f"{what} failed: {type(error).__name__}") from error


def _from_answer(error: ClientError, what: str, container: str, object_: str) -> errors.CallError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in NO_BUCKET or (code in NO_OBJECT and not object_ and container):
        return NoContainer(container)
    if code in NO_OBJECT:
        return NoObject(container, object_)
    if code == "BucketNotEmpty":
        return ContainerNotEmpty(container)
    if code in CHANGED:
        return errors.ProviderError(f"{what} stopped: the object was replaced meanwhile", remedy="get it again")
    message = str(error.response.get("Error", {}).get("Message", ""))
    told = f"{what} failed: the S3 service said {code}" + (f": {message}" if message and message != code else "")
    if status >= 500 or status == 429 or code == "SlowDown":
        return errors.ProviderUnavailable(told)
    return errors.ProviderError(told)
