"""Asking twice, getting one answer: the header Idempotency-Key."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Annotated, TypeAlias, TypeVar

from litestar.params import HeaderParameter
from pydantic import BaseModel

from stagepost.engine.web.access import caller_of
from stagepost.engine.web.problems import AnyRequest
from stagepost.messages import Text

M = TypeVar("M", bound=BaseModel)

IdempotencyKey: TypeAlias = Annotated[
    Text | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="With the same key, the same request of the same caller is carried out once;"
        " kept for 24 hours.",
    ),
]


def key_of(request: AnyRequest, key: IdempotencyKey) -> str | None:
    """Return the key under which an answer is kept: each caller has their own, by whatever token.

    So nobody is told what another was answered, nor that somebody used a key before them.
    """
    caller = caller_of(request)
    return key and json.dumps([caller.role, caller.sub, key])


def fingerprint(request: AnyRequest, body: BaseModel) -> bytes:
    """Tell requests apart that come with one key: where to, and what was understood."""
    asked = f"{request.method} {request.url.path}\n{body.model_dump_json()}"
    return sha256(asked.encode()).digest()


def answer_as(cls: type[M], answer: object) -> M:
    """Return what the desk answered: a decision just made, or the stored JSON of an earlier one."""
    if isinstance(answer, bytes):
        return cls.model_validate_json(answer)
    assert isinstance(answer, cls)
    return answer
