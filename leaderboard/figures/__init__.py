"""Charts, a module each, drawn for `diagnose` and for the page alike."""
