"""What a run will do: for whom, whether it may, and how long it will take."""
