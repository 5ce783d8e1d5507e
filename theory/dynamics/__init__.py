"""Training on the population: the start, descent and flow, slow attention, certificates."""
