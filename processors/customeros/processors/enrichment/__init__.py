"""What can be derived from one event alone, cheaply and without asking anyone."""
