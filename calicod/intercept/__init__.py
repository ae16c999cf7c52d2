"""Where packets come from, and where verdicts go."""
