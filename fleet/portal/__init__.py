"""The portal: pages on which employees see, do and permit what concerns their own accounts."""
