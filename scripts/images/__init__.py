"""Images that hosts start from: what one is made of, which there are, which of them fits."""
