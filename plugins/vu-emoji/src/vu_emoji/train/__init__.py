"""How the shipped art, pipeline and judges were made; ``python -m vu_emoji.train`` runs it again."""
