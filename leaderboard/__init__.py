"""What is made of records: schema, metrics, statistics, tables, figures and their verification.

Needs neither torch nor the rest of the project: a reviewer can install and read this alone.
"""
