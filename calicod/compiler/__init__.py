"""Snapshot to RuleSet."""
