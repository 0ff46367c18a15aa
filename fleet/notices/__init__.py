"""Notices: mail to employees who can do something themselves, and to those whose setting was switched for them."""
