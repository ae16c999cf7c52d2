# Two commands do everything on a fresh Debian 12/13 or Ubuntu 24.04, as root; both set up what is missing first.
.PHONY: help demo test long proofs test-vm setup install lint clean

help:
	@echo 'make demo    real daemon, real traffic, network namespaces of its own: what calicod does, in a minute'
	@echo 'make test    every check and every test'
	@echo 'make long    every property with 10,000 examples instead of 500: an hour of one processor'
	@echo 'make proofs  a million hostile packets and 200 kills of worker, supervisor and keeper: five minutes'
	@echo 'make test-vm calicod as a unit in a virtual machine, each way of steering, a reboot: some minutes'
	@echo 'make setup   only the set-up: system packages, .venv, calicod in it'
	@echo 'make install calicod in /opt/calicod, its unit and its configuration; starts nothing'
	@echo 'make lint    only the checks that need no packet: ruff, mypy, import-linter'
	@echo 'make clean   remove .venv and what tools left behind'

demo:
	@scripts/setup
	@.venv/bin/calicod demo

test:
	@scripts/setup test
	@scripts/test

long:
	@scripts/setup test
	@scripts/test long

proofs:
	@scripts/setup test
	@scripts/test proofs

test-vm:
	@scripts/test-vm

setup:
	@scripts/setup

install:
	@scripts/setup install

lint:
	@scripts/setup test
	@scripts/test lint

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find calicod tests -name __pycache__ -type d -prune -exec rm -rf {} +
