"""argv and printing."""
