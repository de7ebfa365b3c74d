"""Where pictures are read and results are written: folders and S3 behind one interface, and copies between them."""
