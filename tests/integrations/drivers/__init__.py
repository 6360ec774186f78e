"""How an application of each framework is made out of a site of the conformance checks, a file a framework."""
