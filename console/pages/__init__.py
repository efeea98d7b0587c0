"""The pages: one file each, found by its folder, with a template of the same name."""
