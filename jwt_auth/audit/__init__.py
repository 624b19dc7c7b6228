"""What an operator and a security team see: structured records, without any secret in them."""
