"""Checks of records without their author, a module a kind of check."""
