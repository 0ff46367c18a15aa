"""People from an HR export: read strictly, compared with an inventory, and written into it."""
