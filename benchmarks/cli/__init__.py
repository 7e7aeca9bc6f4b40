"""The command line: verbs, what they read, what they print."""
