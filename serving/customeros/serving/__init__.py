"""What is known, asked over HTTP: REST and the schema registry."""

from customeros.serving.run import run_api

__all__ = ["run_api"]
