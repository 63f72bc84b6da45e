"""A sitecustomize that makes a journal process die."""
