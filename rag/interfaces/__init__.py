"""What all faces of the product share: the terminal, other programs, the page."""
