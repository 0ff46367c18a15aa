"""One visit: read a control, set it, load the page afresh, and read it back."""
