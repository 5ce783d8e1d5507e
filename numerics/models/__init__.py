"""Networks: the one-layer ViT of the paper, real ViTs, and a CNN beside them."""
