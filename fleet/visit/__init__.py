"""One visit: read a control, set it, load the page again, and read it back."""
