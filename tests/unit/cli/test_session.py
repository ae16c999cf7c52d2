import os
import subprocess
import sys
from pathlib import Path

import pytest

from calicod.cli.session import find, parse
from calicod.daemon.proposal import Session

WORDS = "192.0.2.9 50000 192.0.2.1 22"
SESSION = Session("192.0.2.9", 50000, "192.0.2.1", 22)
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 010200C0:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 700
   1: 010200C0:0016 090200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 777
   2: 010200C0:0016 080200C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 778
"""


class Proc:
    """A /proc with processes as they are needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(
        self, pid: int, parent: int, *, comm: str = "bash", environ: bytes = b"A=b\0", sockets: tuple[int, ...] = ()
    ):
        process = self.root / str(pid)
        (process / "fd").mkdir(parents=True)
        (process / "net").mkdir()
        (process / "stat").write_text(f"{pid} (a (b) c) S {parent} 1 1")
        (process / "comm").write_text(f"{comm}\n")
        (process / "environ").write_bytes(environ)
        (process / "net" / "tcp").write_text(TCP)
        for number, inode in enumerate(sockets):
            (process / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


@pytest.fixture
def proc(tmp_path) -> Proc:
    made = Proc(tmp_path)
    made.add(os.getpid(), 50)
    return made


def test_sshd_says_it_itself(proc):
    assert find({"SSH_CONNECTION": WORDS}, proc.root) == SESSION


def test_a_process_above_still_knows_it_where_sudo_cleaned_the_environment(proc):
    proc.add(50, 40, comm="sudo")
    proc.add(40, 30, environ=f"A=b\0SSH_CONNECTION={WORDS}\0".encode())
    proc.add(30, 1, comm="sshd")

    assert find({}, proc.root) == SESSION


@pytest.mark.parametrize("comm", ["sshd", "sshd-session", "dropbear"])
def test_a_server_above_holds_the_socket(proc, comm):
    proc.add(50, 40)
    proc.add(40, 1, comm=comm, sockets=(5, 777))

    assert find({}, proc.root) == SESSION


def test_a_socket_of_another_program_is_no_session(proc):
    proc.add(50, 1, comm="curl", sockets=(777,))

    assert find({}, proc.root) is None


def test_a_server_that_only_listens_is_no_session(proc):
    proc.add(50, 1, comm="sshd", sockets=(700,))

    assert find({}, proc.root) is None


def test_what_cannot_be_seen_is_no_session(proc):
    assert find({}, proc.root) is None
    assert find({}, proc.root / "nothing") is None


@pytest.mark.parametrize("text", ["", "a b c d", "192.0.2.9 50000 192.0.2.1", "192.0.2.9 x 192.0.2.1 22"])
def test_what_sshd_would_not_say_is_no_session(text):
    assert parse(text) is None


SERVER = """
import socket, subprocess, sys
open("/proc/self/comm", "w").write("sshd")
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
ours, _ = listener.accept()
print(*client.getsockname(), *listener.getsockname(), flush=True)
ask = "from calicod.cli.session import find; print(find({}), flush=True)"
subprocess.run([sys.executable, "-c", ask], check=True)
"""


def test_the_socket_of_a_real_server_is_found():
    env = {name: value for name, value in os.environ.items() if name != "SSH_CONNECTION"}
    command = [sys.executable, "-c", SERVER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=env)
    ends, found = done.stdout.splitlines()
    client, port, server, server_port = ends.split()

    # both ends are this server's own
    assert found in {f"{client}:{port} -> {server}:{server_port}", f"{server}:{server_port} -> {client}:{port}"}


def test_zones_and_mapped_addresses_are_those_that_packets_bear():
    assert parse("fe80::1%eth0 5 fe80::2%eth0 22") == Session("fe80::1", 5, "fe80::2", 22)
    assert parse("::ffff:192.0.2.9 50000 ::ffff:192.0.2.1 22") == SESSION
