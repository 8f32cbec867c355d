# Frozen: written for version 1 of the contract. Never edit these files; a change that breaks them breaks plugins
# that people have published, and needs a new API_VERSION (docs/explanation/api-stability.md).
