"""Model weights, and what runs them."""
