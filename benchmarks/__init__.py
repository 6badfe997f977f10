"""What does an event cost? Run `python -m benchmarks --help`; docs/benchmarks.md explains."""
