"""The plan of a run: its accounts and controls, the gates that apply, and a forecast of its duration."""
