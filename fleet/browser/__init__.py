"""The browser: find one, launch it confined, and read and press what a page shows."""
