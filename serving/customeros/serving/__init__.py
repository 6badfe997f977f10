"""What is known, asked over HTTP: REST and the schema registry."""
