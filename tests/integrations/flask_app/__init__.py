"""What only Flask has: its forms, its handlers of errors, its configuration, its commands."""
