"""What is read off networks: coefficients, spatial structure, accuracy, cost, time."""
