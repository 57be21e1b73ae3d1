"""One port for a service in several containers: `python platform/front.py 8002 payments:8002`.

What comes to the port goes to one of the instances, a connection at a time. The name server gives
their addresses in ever another order; one that does not answer is passed over.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import closing, suppress

CHUNK = 1 << 16


async def serve(port: int, service: str, their_port: int) -> None:
    """Pass connections on until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError), closing(writer):
            answers, requests = await asyncio.open_connection(service, their_port)
            with closing(requests):
                asking = asyncio.create_task(_pass(reader, requests))
                await _pass(answers, writer)  # whoever answers ends the connection
                asking.cancel()

    server = await asyncio.start_server(accept, port=port)
    await stop.wait()
    server.close()


async def _pass(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(CHUNK):
            to.write(data)
            await to.drain()
        to.write_eof()


if __name__ == "__main__":
    service, _, their_port = sys.argv[2].rpartition(":")
    asyncio.run(serve(int(sys.argv[1]), service, int(their_port)))
