"""Orbitals, and the reduction to three coefficients with its machine proof."""
