"""What a packet costs a worker in Python and system calls: from the queue's socket through the judge to the verdict.

    sudo unshare --net .venv/bin/python benchmarks/verdict.py [--rounds 2000]

Datagrams of a client on `lo` come up in one queue, are judged by 1,000 policies as if they came from `eth0`, and are
dropped by the kernel's next rule: what is measured is ours alone. Processor time, the best percent of the rounds. Needs
root and iptables; runs only in a namespace with nothing but `lo`.
"""

import argparse
import gc
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from calicod.daemon.judge import Judge
from calicod.daemon.sources import Sources
from calicod.daemon.totals import Totals
from calicod.intercept.nfqueue import Queue
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.record import Record
from calicod.model.verdict import Verdict
from calicod.ruleset.enforcement import Enforcement

sys.path.insert(0, str(Path(__file__).parent))
from path import policies

NUMBER, LENGTH, PORT = 5200, 4096, 6379
FORWARD, ETH0, CALI = 2, 2, 3
WAITING = (1, 4, 64)
BODY = bytes(40)


def sh(command: str) -> None:
    subprocess.run(command.split(), check=True)


def judge(records: list[Record]) -> Judge:
    """As a worker of `path.py` has it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "bench.yaml"
        source.write_text(policies(1000))
        ruleset = Sources((source,), "n1", Path(folder) / "state").read().ruleset
    interfaces = (Interface(ETH0, "eth0"), Interface(CALI, "caliw1"))
    enforcement = Enforcement(revision=1, ruleset=ruleset, interfaces=interfaces)
    return Judge(enforcement, Totals(), records.append, marks=layout(), fail_open=False)


def clients(count: int) -> list[socket.socket]:
    """Each with a port of its own."""
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in made:
        each.connect(("127.0.0.1", PORT))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    rounds = parser.parse_args().rounds
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        sys.exit("run it in an empty network namespace of its own: `unshare --net`")
    marks = layout()
    sh("ip link set lo up")
    sh(f"iptables -A INPUT -p udp --dport {PORT} -m mark ! --mark 0/{marks.accept:#x} -j DROP")
    sh(f"iptables -A INPUT -p udp --dport {PORT} -j NFQUEUE --queue-num {NUMBER}")
    queue, records = Queue(NUMBER, LENGTH, marks), list[Record]()
    original, senders = judge(records).original, clients(max(WAITING))

    def decide(payload: bytes, mark: int, *_: int) -> Verdict:
        return original(payload, mark, FORWARD, ETH0, CALI)

    gc.collect()
    gc.freeze()
    gc.disable()
    for waiting in WAITING:
        times = []
        for _ in range(rounds):
            for sender in senders[:waiting]:
                sender.send(BODY)
            records.clear()
            began = time.process_time_ns()
            judged = queue.read(decide, waiting)
            times.append((time.process_time_ns() - began) / waiting / 1000)
            assert judged == len(records) == waiting
        print(f"{waiting} waiting: {sorted(times)[rounds // 100]:.2f} us a packet")


if __name__ == "__main__":
    main()
