"""Tests of the kernel side that need no kernel."""
