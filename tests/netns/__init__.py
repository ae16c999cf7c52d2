"""Tests with real packets, in network namespaces of their own."""
