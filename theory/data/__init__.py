"""Assumption 1: partitions, the exact law and its samples; Gaussian patches."""
