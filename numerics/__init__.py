"""Simulations that know nothing of the theory's formulas: sampled images, trained weights."""
