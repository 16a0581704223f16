"""Rules of selection: what the F1 of a trial would be under the choices of epoch and threshold that others make."""
