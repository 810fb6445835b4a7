"""What the web chat shows and keeps: HTML in which documents are text, and conversations as records."""
