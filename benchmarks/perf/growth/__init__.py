"""How cost grows with items, users, beam and the like: measured, fitted, put into docs."""
