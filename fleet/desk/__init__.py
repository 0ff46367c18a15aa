"""The desk: sign-in in a plain window, and a visit beside the employee."""
