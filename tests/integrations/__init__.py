"""What every framework must answer alike: checks in files by subject, asked through the drivers."""
