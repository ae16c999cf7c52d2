"""The composition root: settings, processes, reconciling, control."""
