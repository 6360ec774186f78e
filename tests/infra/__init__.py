"""The stack: template, manager, discovery, package, and the policies as a reading of IAM."""
