"""Theorems 3.1, 3.2 and 5.1: what no rule of a kind can do, and what one can."""
