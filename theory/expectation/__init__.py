"""Population loss and gradient: one number by enumeration, quadrature, balls, equal logits."""
