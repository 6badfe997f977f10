"""Who is one customer: a pure function of a set of evidence, and that function kept up to date."""
