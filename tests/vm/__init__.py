"""What runs in the virtual machine of `make test-vm`."""
