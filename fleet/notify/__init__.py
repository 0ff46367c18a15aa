"""Notifications: their targets, what they say (counts and codes), and how they are sent."""
