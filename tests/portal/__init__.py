"""The portal, from the browser of an employee to the files in the inbox."""
