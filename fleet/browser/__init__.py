"""The browser: finding one, launching it confined, and reading and pressing what a page shows."""
