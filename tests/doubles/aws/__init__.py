"""An AWS on this machine: moto, mended, with faults on demand, and real hosts behind it where asked for."""
