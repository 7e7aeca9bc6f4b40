"""Records to boards: rows, standings, comparisons, contrasts, structure."""
