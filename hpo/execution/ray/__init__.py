"""Workers as Ray actors, and the manager as one: the only home of Ray."""
