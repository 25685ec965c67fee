"""How the errors of a face model differ between groups of people: a library without Django that anybody can run."""
