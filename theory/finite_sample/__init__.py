"""Theorem 4.2: how far N images lead from the population."""
