"""Notifications: their targets, their content (counts and codes), and how they are sent."""
