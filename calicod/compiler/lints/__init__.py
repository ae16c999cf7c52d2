"""What the lints have in common, and the lints themselves by what they look at; the table of them is `lint.py`."""
