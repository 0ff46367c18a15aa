"""Recipes: how each service's controls are found, set and proved."""
