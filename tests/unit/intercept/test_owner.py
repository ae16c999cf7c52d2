import os
import socket
from pathlib import Path

import pytest

from calicod.intercept import owner
from calicod.intercept.owner import NETLINK_NETFILTER, Owner, find_owner, name_of, socket_inode


def test_the_process_behind_a_netlink_port_is_found():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        port, _ = sock.getsockname()

        assert find_owner(port) == Owner(os.getpid(), name_of(os.getpid()))


def test_a_port_that_the_queue_shows_as_a_negative_number_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    table = tmp_path / "netlink"
    table.write_text("sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0 12 4294966092 0 0 0 0 2 0 4711\n")
    monkeypatch.setattr(owner, "NETLINK_TABLE", table)

    assert socket_inode(-1204) == "4711"
    assert socket_inode(4294966092) == "4711"


@pytest.mark.parametrize("text", ["", "sk Eth Pid\n", "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0 12 5\n"])
def test_a_table_that_says_nothing_names_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str):
    table = tmp_path / "netlink"
    table.write_text(text)
    monkeypatch.setattr(owner, "NETLINK_TABLE", table)

    assert find_owner(5) is None


def test_a_process_that_has_gone_has_no_name():
    assert name_of(2**22 + 1) == "?"


def test_a_process_is_told_by_number_and_name():
    assert str(Owner(412, "suricata")) == "process 412 (suricata)"
