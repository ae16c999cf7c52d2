"""One file per match field of a rule."""
