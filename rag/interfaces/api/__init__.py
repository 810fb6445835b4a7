"""What is served beside the page: the documents for other programs."""
