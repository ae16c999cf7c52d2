"""What a newcomer is told must be true: README, configuration, unit, links and decisions."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.cli.main import COMMANDS
from calicod.daemon.settings import KEYS, parse_settings
from calicod.eventlog.file import FileSettings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONFIG = ROOT / "config" / "calicod.yaml"
UNIT = ROOT / "systemd" / "calicod.service"
BOOT_UNIT = ROOT / "systemd" / "calicod-boot.service"
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
BIN = Path(sys.executable).parent

LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
YAML = re.compile(r"as `(\S+\.yaml)`.*?```yaml\n(.*?)```", re.DOTALL)
ELLIPSIS = "..."


# The README


def steps() -> Iterator[tuple[str, list[str]]]:
    """Each command of the README's console blocks with the output it shows."""
    for block in CONSOLE.findall(README):
        for part in ("\n" + block).split("\n$ ")[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            yield command, shown


def test_the_commands_of_the_readme_give_what_it_shows(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for file, text in YAML.findall(README):
        (tmp_path / file).write_text(text)
    path = f"{BIN}:{os.environ['PATH']}"
    told = []

    for command, shown in steps():
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if not alike(shown, done.stdout.splitlines()):
            told.append((command, done.stdout))

    assert len(list(steps())) >= 4
    assert told == []


def alike(shown: list[str], real: list[str]) -> bool:
    """Equal, where `...` stands for any number of lines."""
    if not shown:
        return not real
    if shown[0] == ELLIPSIS:
        return any(alike(shown[1:], real[start:]) for start in range(len(real) + 1))
    return bool(real) and shown[0] == real[0] and alike(shown[1:], real[1:])


def test_every_command_of_the_readme_exists():
    named = set(re.findall(r"^ {4}calicod ([a-z]+)|`calicod ([a-z]+)", README, re.MULTILINE))
    targets = set(re.findall(r"^ {4}make ([a-z]+)|`make ([a-z]+)`", README, re.MULTILINE))
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert {"demo", "test"} <= {a or b for a, b in targets} <= made
    assert {a or b for a, b in named} <= set(COMMANDS)


def test_every_link_leads_somewhere():
    broken = [
        (str(page.relative_to(ROOT)), link)
        for page in PAGES
        for link in LINK.findall(page.read_text())
        if not (page.parent / link).exists()
    ]

    assert len(PAGES) > 100
    assert broken == []


# The gate


def test_ci_runs_what_people_run():
    assert "make test\n" in (ROOT / ".ci" / "run").read_text()


# The configuration


def test_the_configuration_file_sets_every_key_to_its_default():
    written = parse_settings(CONFIG.read_text(), "/etc/calicod/calicod.yaml")

    assert written == parse_settings("", "/etc/calicod/calicod.yaml")
    assert set(re.findall(r"^([a-z_]+):", CONFIG.read_text(), re.MULTILINE)) == set(KEYS)
    assert set(re.findall(r"^    ([a-z_]+):", CONFIG.read_text(), re.MULTILINE)) == set(FileSettings.__struct_fields__)


def test_nothing_is_judged_and_everything_is_told_by_default():
    settings = parse_settings(CONFIG.read_text(), "/etc/calicod/calicod.yaml")

    assert settings.events == (FileSettings(path=Path("/var/log/calicod/events.jsonl")),)
    assert settings.failure_mode == "closed"
    assert list((ROOT / "config").iterdir()) == [CONFIG], "an endpoint or policy here would be in force at once"


# The unit


class Unit(configparser.RawConfigParser):
    """Keys keep their case; of a key that is given twice the values are joined."""

    def __init__(self) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str


@pytest.fixture
def unit() -> Unit:
    parsed = Unit()
    parsed.read_string(UNIT.read_text())
    return parsed


def test_the_unit_keeps_no_capability_but_two(unit):
    assert unit["Service"]["CapabilityBoundingSet"].split() == ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    assert unit["Service"]["NoNewPrivileges"] == "yes"


def test_the_unit_has_the_directories_of_the_configuration(unit):
    settings = parse_settings(CONFIG.read_text(), "/etc/calicod/calicod.yaml")
    service = unit["Service"]

    assert settings.run_directory == Path("/run", service["RuntimeDirectory"])
    assert settings.state_directory == Path("/var/lib", service["StateDirectory"])
    assert settings.events[0].path.parent == Path("/var/log", service["LogsDirectory"])
    assert service["RuntimeDirectoryPreserve"] == "yes"


def test_the_unit_waits_for_the_supervisor_and_is_before_the_network(unit):
    service = unit["Service"]

    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == ("notify", "all", "on-failure")
    assert int(service["WatchdogSec"]) >= 10
    assert "network-pre.target" in unit["Unit"]["Before"]
    assert service["ExecReload"].endswith("-HUP $MAINPID")


def test_the_boot_unit_comes_before_the_daemon_and_the_network_and_only_with_the_daemon():
    parsed = Unit()
    parsed.read_string(BOOT_UNIT.read_text())

    assert parsed["Unit"]["Before"].split()[:2] == ["network-pre.target", "calicod.service"]
    assert (parsed["Service"]["Type"], parsed["Service"]["RemainAfterExit"]) == ("oneshot", "yes")
    assert parsed["Install"]["WantedBy"] == "calicod.service"
    assert parsed["Service"]["CapabilityBoundingSet"].split() == ["CAP_NET_ADMIN", "CAP_NET_RAW"]
    script = Path(parsed["Service"]["ExecStart"])
    assert (ROOT / "systemd" / script.name).stat().st_mode & 0o111
    assert f'"$VENV/libexec/{script.name}"' in (ROOT / "scripts" / "setup").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("source", [UNIT, BOOT_UNIT], ids=lambda path: path.name)
def test_systemd_accepts_the_unit_and_finds_it_hardened(tmp_path, source):
    copy = tmp_path / source.name
    copy.write_text(re.sub(r"/opt/calicod/\S*/calicod(-boot)?", "/bin/true", source.read_text()))

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False
    )
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", copy],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout[-2000:]


# Vagrant


@pytest.mark.parametrize(
    ("source", "port", "verdict"), [("20", 8000, "allow"), ("20", 8001, "deny"), ("21", 8000, "deny")]
)
def test_the_policy_of_the_vagrant_node_does_what_it_says(tmp_path, source, port, verdict):
    interfaces = tmp_path / "interfaces.json"
    interfaces.write_text('{"eth1": ["192.168.56.10/24"]}')
    packet = {"hook": "input", "in": "eth1", "dst": "192.168.56.10", "protocol": "tcp", "dport": port}
    done = subprocess.run(
        [BIN / "calicod", "eval", ROOT / "vagrant", "--node", "node", "--interfaces", interfaces, "--packets", "-"],
        input=json.dumps({"id": 1, "src": f"192.168.56.{source}", **packet}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout)["verdict"] == verdict


# Decisions


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_short_and_complete(page):
    lines = page.read_text().splitlines()

    assert len(lines) <= 60
    assert lines[0].startswith(f"# {page.name[:4]}: ")
    assert [line for line in lines if line.startswith("## ")] == [
        f"## {part}" for part in ("Status", "Context", "Decision", "Rejected", "Consequences")
    ]


def test_decisions_are_numbered_and_listed():
    index = (ROOT / "docs" / "adr" / "README.md").read_text()

    assert [page.name[:4] for page in DECISIONS] == [f"{n:04}" for n in range(1, len(DECISIONS) + 1)]
    assert all(f"({page.name})" in index for page in DECISIONS)


def test_every_runtime_dependency_has_its_line():
    page = (ROOT / "docs" / "adr" / "0007-runtime-dependencies.md").read_text()
    decided = set(re.findall(r"^\| ([\w-]+) \|", page, re.MULTILINE)) - {"package"}

    assert decided == {re.split(r"[>=<]", dependency)[0] for dependency in PROJECT["dependencies"]}


# Imports


def test_importing_the_engine_pulls_in_neither_scapy_nor_pyroute2():
    code = "import calicod.engine, calicod.engine.linear, calicod.engine.bitmap, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "calicod.engine.bitmap" in loaded
    assert {"scapy", "pyroute2", "yaml", "asyncio", "structlog"} & set(loaded) == set()


def test_the_daemon_never_imports_scapy():
    code = "from calicod.daemon.main import prepare; prepare(); import sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "calicod.daemon.supervisor" in loaded
    assert {"scapy", "pyroute2"} & set(loaded) == set()
