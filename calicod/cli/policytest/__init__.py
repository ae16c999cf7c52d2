"""`calicod test`: policy unit tests in YAML (docs/policy-tests.md)."""
