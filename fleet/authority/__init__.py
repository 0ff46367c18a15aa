"""What allows an act and what forbids it: mandates, waivers, and the lists of what is blocked."""
