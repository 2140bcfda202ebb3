"""What goes in: catalogs, histories, interactions, and the MovieLens sets."""
