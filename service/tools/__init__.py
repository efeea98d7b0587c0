"""What is offered: one file per tool; a tool reaches a model through its desk and through nothing else."""
