"""Charts, each defined once, for `diagnose` and for the page."""
