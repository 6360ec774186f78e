"""Every framework behind real servers: the table of answers, clients that leave, workers that share a file."""
