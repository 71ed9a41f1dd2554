"""The laptop's side: AWS Batch, CloudFormation and what they need. Imports neither SpikeInterface nor torch."""
