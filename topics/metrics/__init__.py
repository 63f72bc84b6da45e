"""The catalogue of metrics, and what makes them as it says."""
