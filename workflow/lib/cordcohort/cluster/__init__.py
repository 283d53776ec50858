"""What a run costs and how far it is: memory of jobs, estimate, status, preparation, refusals."""
