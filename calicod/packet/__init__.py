"""What was sent: bytes become packets, totally."""
