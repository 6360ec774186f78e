"""What only the DynamoDB store has, without a table."""
