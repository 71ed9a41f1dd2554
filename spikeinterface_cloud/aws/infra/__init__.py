"""The CloudFormation stack that holds everything a sorting job needs.

Functions that call AWS raise AwsError if it refuses or does not answer.
"""
