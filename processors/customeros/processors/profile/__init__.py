"""What is known of a customer: folded per identifier, merged per customer, any order the same."""
