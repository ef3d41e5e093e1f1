"""A proxy that hides the server's TLS: what somebody on the way would do to read along."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_CLIENT_SSL = 0x0800
#: MySQL's packet by which a client asks for TLS, also of a server that has said it has none.
_ASKS_FOR_TLS = 36
_BAD_HANDSHAKE = b"\x16\0\0\2\xff\x13\x04#08S01Bad handshake"


class StrippingProxy:
    """Between a client and the server at *port*; ``heard`` is all that the client said."""

    def __init__(self, port: int, *, mysql: bool) -> None:
        self._server = port
        self._mysql = mysql
        self.heard = bytearray()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._server))
        with client, server, suppress(OSError):
            if self._mysql:
                client.sendall(_without_tls(server.recv(4096)))
                if len(client.recv(4096, socket.MSG_PEEK)) == _ASKS_FOR_TLS:
                    client.sendall(_BAD_HANDSHAKE)  # what a server without TLS says
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(4096):  # closed before that, it would not be read
                        pass
                    return
            else:
                first = client.recv(8, socket.MSG_WAITALL)
                if first == _SSL_REQUEST:
                    client.sendall(b"N")
                else:
                    self.heard += first
                    server.sendall(first)
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(4096):
                self.heard += data
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _without_tls(greeting: bytes) -> bytes:
    """MySQL's first packet, without the bit that says that the server can TLS."""
    version_ends = greeting.index(b"\0", 5)
    place = version_ends + 1 + 4 + 8 + 1  # the thread, the first part of the salt, a filler
    [flags] = struct.unpack_from("<H", greeting, place)
    changed = struct.pack("<H", flags & ~_CLIENT_SSL)
    return greeting[:place] + changed + greeting[place + 2 :]


@contextmanager
def stripping(port: int, *, mysql: bool) -> Iterator[StrippingProxy]:
    """A proxy for the time of the block."""
    proxy = StrippingProxy(port, mysql=mysql)
    try:
        yield proxy
    finally:
        proxy.close()
