"""One file per verb. A command parses its options, calls the layers below, and hands back what is to be shown."""
