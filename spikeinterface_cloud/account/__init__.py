"""The AWS account: one CloudFormation stack with all that a sorting job needs."""
