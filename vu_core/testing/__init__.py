"""What plugin authors test against: fake models, and tiny random-weight pipelines on disk."""
