"""`python -m customeros.ops` is the `customeros` command."""

from customeros.ops.cli import main

main()
