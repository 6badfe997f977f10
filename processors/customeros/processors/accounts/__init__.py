"""What is known of an organisation; pure."""
