"""What other programs open: the units as NWB, for DANDI, and as a folder for phy."""
