"""placeholder docstring: owner fills."""
