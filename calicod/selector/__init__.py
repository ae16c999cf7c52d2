"""Calico's selector language (semantics section 3)."""
