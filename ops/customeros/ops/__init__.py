"""Run and operate the platform: the command line, the processes, the demo."""
