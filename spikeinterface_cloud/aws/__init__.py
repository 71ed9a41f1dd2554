"""The laptop's side: AWS Batch and CloudFormation, without SpikeInterface and torch."""
