"""One training of each kind: descent, random starts, new features, two attentions compared."""
