"""A request, the catalogue and the state of the fleet become a route, or none with alternatives."""
