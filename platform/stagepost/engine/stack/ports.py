"""Ports: the usual one where it is free, else the next; a service's socket outlives its process."""

from __future__ import annotations

import errno
import socket

from stagepost.errors import StackError

HOST = "127.0.0.1"
_BACKLOG = 1024


def listen(port: int) -> socket.socket:
    """Open a listening socket at `port`, or at the next one upward that is free.

    Raises:
        StackError: none is free up to 65535.
    """
    for candidate in range(port, 65536):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; uvicorn sets it on none that come by a descriptor, and
        # then each answer in two writes waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return listener
    raise StackError(f"no port is free on {HOST} from {port} upward: end what uses them")


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.create_server((HOST, 0)) as listener:
        return port_of(listener)


def port_of(listener: socket.socket) -> int:
    """Return the port of a listening socket."""
    port: int = listener.getsockname()[1]
    return port
