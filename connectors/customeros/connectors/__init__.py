"""How the outside comes in: verify, parse, stamp, key; answer after the broker has it."""
