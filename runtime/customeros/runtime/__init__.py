"""What every process needs: settings, errors, logs, metrics, clients, the runtime, the stack."""
