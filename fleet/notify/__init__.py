"""Telling others: whom, what (counts and codes), and the sending of it."""
