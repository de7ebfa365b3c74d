"""A cluster from its settings to its end: init, plan, up, scale, power, status, down."""
