"""What lies on disk: settings, records, ranks, trials, reproductions; their schemas and readers."""
