"""The nouns: frozen dataclasses and the pure container that holds them. Standard library only."""
