"""Who may be one customer though no evidence joins them: for a person to accept or refuse."""
