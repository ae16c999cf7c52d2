"""The program that compiler and engine agree on."""
