import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

from calicod.cli.main import COMMANDS, main
from tests.unit.cli.offline import ROOT, calicod, packets, resources

OFFLINE = ("validate", "selector", "eval", "explain")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Runs a line as a user would, with `calicod` of this interpreter."""
    command = f"{shlex.quote(sys.executable)} -c 'from calicod.cli.main import main; main()'"
    text = f'calicod() {{ {command} "$@"; }}\n{line}'
    return subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_help_lists_every_command():
    result = calicod("--help")

    assert result.exit_code == 0
    assert [name for name in COMMANDS if f"  {name} " not in result.stdout] == []


def test_help_imports_no_command():
    loaded = modules_after("from calicod.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass")

    assert {name for name in loaded if name.startswith("calicod.")} == {
        "calicod.cli",
        "calicod.cli.main",
        "calicod.errors",
    }


@pytest.mark.parametrize("package", ["calicod.engine.bitmap", "calicod.engine.linear", "calicod.cli.eval"])
def test_judging_imports_neither_scapy_nor_pyroute2(package):
    loaded = modules_after(f"import calicod.engine, {package}")

    assert package in loaded
    assert loaded.isdisjoint({"scapy", "pyroute2", "netfilterqueue", "structlog", "aiohttp", "rich"})


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help_with_an_example(name):
    result = calicod(name, "--help")

    assert result.exit_code == 0
    assert re.search(r"Examples?:\n( .*\n)* .*calicod ", result.stdout)


def examples() -> list[str]:
    found = []
    for name in OFFLINE:
        text = calicod(name, "--help").stdout
        block = text.split("Examples:\n")[1].split("\n\n")[0]
        lines = re.sub(r"(\\|\|)\n +", r"\1\n", block)
        found += [
            line.strip() for line in re.split(r"(?<!\\)(?<!\|)\n", lines) if line.strip() and "--live" not in line
        ]
    return found


@pytest.mark.parametrize("line", examples())
def test_the_examples_of_help_work(line):
    result = shell(line)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.parametrize("arguments", [("frobnicate",), ("--frobnicate",), ("validate",), ("eval", "x")])
def test_wrong_usage_exits_2(arguments):
    result = calicod(*arguments)

    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_reader_that_has_enough_gets_no_traceback(tmp_path):
    many = packets(tmp_path, *({"id": n, "src": "10.65.0.2", "dst": "10.65.0.1", "protocol": 6} for n in range(20_000)))

    result = shell(f"calicod eval {resources(tmp_path)} --cluster --packets {many} | head -n 1")

    assert result.stdout.startswith('{"id":0,')
    assert result.stderr == ""


@pytest.mark.parametrize("command", ["--help", "validate {0}", "eval {0} --cluster --packets {1}"])
def test_a_full_disk_is_told_in_a_line(tmp_path, command):
    one = packets(tmp_path, {"id": 1, "src": "10.65.0.2", "dst": "10.65.0.1", "protocol": 6})

    result = shell(f"calicod {command.format(resources(tmp_path), one)} > /dev/full")

    assert (result.returncode, result.stderr) == (1, "calicod: no space left on device\n")


def test_ctrl_c_ends_without_a_traceback(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    line = [sys.executable, "-c", "from calicod.cli.main import main; main()", "validate", str(fifo)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process, fifo.open("wb"):
        process.send_signal(signal.SIGINT)  # the fifo opens once the command waits for what is written
        _, stderr = process.communicate(timeout=30)

    assert (process.returncode, stderr.strip()) == (1, "Aborted!")


def test_a_terminal_of_another_encoding_is_no_reason_to_fail(tmp_path):
    folder = tmp_path / "ž"
    folder.mkdir()

    result = shell(
        f"PYTHONIOENCODING=latin-1 calicod explain {resources(folder)} --src 10.65.0.2 --dst 10.65.0.1 --dport 80"
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert "\\u017e/all.yaml" in result.stdout


def test_the_version_is_told():
    assert re.fullmatch(r"calicod, version \d+\.\d+.*\n", calicod("--version").stdout)


def test_the_table_and_the_group_agree():
    assert main.list_commands(None) == list(COMMANDS)  # type: ignore[attr-defined, arg-type]  # click types it as a Command
