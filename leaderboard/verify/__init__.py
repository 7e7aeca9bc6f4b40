"""Checks of records without their author."""
