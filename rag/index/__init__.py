"""What an index promises, whatever store keeps it."""
