# Nothing here can be used from Python.
