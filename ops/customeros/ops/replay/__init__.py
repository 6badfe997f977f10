"""Build identity and state anew from the log, beside the running ones; compare; switch."""
