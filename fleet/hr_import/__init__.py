"""HR imports: read an export strictly, compare it with an inventory, and write it there."""
