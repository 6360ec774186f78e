"""Each example app starts for real and does what its README says."""
