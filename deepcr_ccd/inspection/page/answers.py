"""Answers to calls of the page, with errors as what the page can show."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, NamedTuple

from .api import Api, Changed

__all__ = ["Answer", "answer"]

logger = logging.getLogger(__name__)

#: Errors whose messages can stand alone.
EXPECTED = (OSError, ValueError, TypeError, ImportError, MemoryError)


class Answer(NamedTuple):
    """What a call gave: a status of HTTP, and bytes or what becomes JSON."""

    status: HTTPStatus
    content: dict | bytes


def answer(api: Api, name: str, params: Any) -> Answer:
    """Answer a call; errors are in what is returned, and not raised.

    Parameters
    ----------
    api : Api
        Has the calls.
    name : str
        Of the call.
    params : object
        Its arguments, from JSON.

    Returns
    -------
    Answer
        Of an error, the message as "error"; with the "state" of now where the page's
        was not that, or "exists" where a file must not be replaced.
    """
    try:
        return Answer(HTTPStatus.OK, api.call(name, params))
    except LookupError as error:
        return Answer(HTTPStatus.NOT_FOUND, {"error": str(error)})
    except Changed as error:
        content = {"error": str(error), "state": error.state}
        return Answer(HTTPStatus.CONFLICT, content)
    except FileExistsError as error:
        return Answer(HTTPStatus.CONFLICT, {"error": str(error), "exists": True})
    except EXPECTED as error:
        return Answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
    except Exception as error:  # noqa: BLE001 - the page shows it
        logger.debug("call %s failed", name, exc_info=True)
        text = f"{type(error).__name__}: {error}"
        return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": text})
