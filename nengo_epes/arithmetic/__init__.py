"""Pure functions on arrays: the arithmetic of rules, policies and step sizes."""
