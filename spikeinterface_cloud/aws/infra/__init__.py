"""The CloudFormation stack that holds everything a sorting job needs."""
