"""Request and response models of the touchpoints, one module a theme."""
