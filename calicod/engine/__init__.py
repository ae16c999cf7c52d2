"""RuleSet and packet to Decision."""
