"""Records to boards: a row a method, standings, comparisons, contrasts, structure."""
