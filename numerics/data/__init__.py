"""Images: drawn by a law, cut from photographs, or read from a folder."""
