"""What permits an act and what forbids it: mandates, waivers and blocklists."""
