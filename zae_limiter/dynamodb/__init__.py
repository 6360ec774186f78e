"""The chapters of the repository on DynamoDB; `zae_limiter/repository.py` joins them."""
