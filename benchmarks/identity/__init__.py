"""Who finds the same people? Run `make bench-identity`; docs/suggestions.md has the figures."""
