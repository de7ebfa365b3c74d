"""A small cloud on one Linux machine: real Debian hosts in network namespaces, kept in step with an AWS double."""
