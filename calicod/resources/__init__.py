"""What users write: documents, resources, snapshots."""
