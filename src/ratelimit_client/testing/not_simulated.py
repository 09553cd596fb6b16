"""
What an event loop can do and a virtual one does not.

Law of this file: a simulation that silently left its bounds would prove nothing, so each
of these says at once what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn


def _missing(what: str) -> Callable[..., NoReturn]:
    def refuse(*args: object, **options: object) -> NoReturn:
        raise NotImplementedError(f"a VirtualLoop has no {what}: test this with real ones, in a process of its own")

    return refuse


class NotSimulated(asyncio.AbstractEventLoop):
    """An event loop that refuses what leaves the process."""

    add_reader: Any = _missing("file descriptors")
    remove_reader: Any = add_reader
    add_writer: Any = add_reader
    remove_writer: Any = add_reader

    add_signal_handler: Any = _missing("signals")
    remove_signal_handler: Any = add_signal_handler

    sock_recv: Any = _missing("raw sockets")
    sock_recv_into: Any = sock_recv
    sock_recvfrom: Any = sock_recv
    sock_recvfrom_into: Any = sock_recv
    sock_sendall: Any = sock_recv
    sock_sendto: Any = sock_recv
    sock_accept: Any = sock_recv
    sock_sendfile: Any = sock_recv
    sendfile: Any = sock_recv
    connect_accepted_socket: Any = sock_recv
    create_datagram_endpoint: Any = sock_recv
    create_unix_connection: Any = sock_recv
    create_unix_server: Any = sock_recv
    getnameinfo: Any = sock_recv

    start_tls: Any = _missing("TLS")

    connect_read_pipe: Any = _missing("pipes")
    connect_write_pipe: Any = connect_read_pipe
    subprocess_shell: Any = _missing("subprocesses")
    subprocess_exec: Any = subprocess_shell
