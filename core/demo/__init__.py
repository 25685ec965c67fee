"""The demonstration: the main job end to end on generated people, as `make demo` shows it."""
