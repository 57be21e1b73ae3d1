"""Idempotency keys: who asks again under the same key gets the answer that there was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from stagepost.engine.batch import Idempotency
from stagepost.engine.items import Item
from stagepost.engine.store import Store
from stagepost.errors import Unprocessable


class Idempotent:
    """Requests under keys: of those under way one of each key, the answers in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._under_way: dict[str, asyncio.Future[Any]] = {}

    async def once(
        self,
        key: str,
        fingerprint: bytes,
        lay_out: Callable[[], Item],
        ask: Callable[[Item], Awaitable[Any]],
    ) -> Any:
        """Ask what is laid out, unless this key has an answer: then return that, as its JSON.

        Raises:
            Unprocessable: the key belongs to another request, by its fingerprint.
        """
        while (earlier := self._under_way.get(key)) is not None:
            await asyncio.wait([earlier])
        item = lay_out()
        item.idempotency_key, item.fingerprint = key, fingerprint
        assert item.done is not None
        self._under_way[key] = item.done
        item.done.add_done_callback(lambda _: self._under_way.pop(key, None))
        try:
            known = (await self._store.idempotent([key])).get(key)
        except BaseException:
            item.done.cancel()  # whoever waits for this answer asks for their own
            raise
        if known is not None:
            item.finish(known)
        try:
            answer = await ask(item) if known is None else known
        finally:
            del item  # a refusal holds this frame: that must not lead back to it
        return _repeat(answer, fingerprint) if isinstance(answer, Idempotency) else answer


def _repeat(known: Idempotency, fingerprint: bytes) -> bytes:
    if known.fingerprint != fingerprint:
        raise Unprocessable("the Idempotency-Key was used for another request: use a new key")
    return known.response
