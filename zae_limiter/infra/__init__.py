"""What CloudFormation holds for a limiter: the template, the stack's life, the function's code, what is deployed."""
