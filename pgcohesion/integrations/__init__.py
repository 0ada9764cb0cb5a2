"""What other libraries need to work on our connections: import the one that you use.

Nothing else of pgcohesion imports these, so none of the libraries has to be there.
"""
