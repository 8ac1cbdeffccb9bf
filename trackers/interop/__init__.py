"""What other libraries call the same things: Optuna, MLflow. Each module imports its library, none is loaded here."""
