"""What `nt-run new-strategy` writes: whole strategies, in which `Template` becomes the user's name."""
