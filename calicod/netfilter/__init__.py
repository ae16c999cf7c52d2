"""The kernel side: steering rules, conntrack, links."""
