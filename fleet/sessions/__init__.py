"""Sessions: signed-in browser data, sealed, one file per account."""
