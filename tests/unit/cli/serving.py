"""A control socket that answers as it is told, in threads of its own."""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec


@contextmanager
def serving(path: Path, answers: Mapping[str, object], status: str = "200 OK") -> Iterator[list[str]]:
    """Listens at `path`; `answers` by target, as JSON (bytes: as they are). Gives the requests that came."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        method, target, *_ = (received(client) or "- -").split()
                        asked.append(f"{method} {target}")
                        held = answers.get(target.partition("?")[0])
                        body = held if isinstance(held, bytes) else msgspec.json.encode(held)
                        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
                        client.sendall(head.encode() + body)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def received(client: socket.socket) -> str:
    """The head of a request; its body is read too."""
    data = client.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        missing -= len(client.recv(missing))
    return head.decode()
