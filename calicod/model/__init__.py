"""The vocabulary every floor shares: frozen values without behaviour beyond themselves."""
