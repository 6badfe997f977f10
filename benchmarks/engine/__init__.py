"""The same small job on our runtime and on what a user would pick instead."""
