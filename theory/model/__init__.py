"""The simplified ViT, in symbols and in exact numbers, and Definition 2.2."""
