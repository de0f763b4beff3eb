"""What a technician can do in front of a device: scan, probe, read raw, record, replay."""
