"""Recipes: how the controls of each service are found, set and proved."""
