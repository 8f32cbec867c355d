"""The embedded testbed: emoji art, a small text-to-image pipeline trained on it, and its judges."""
