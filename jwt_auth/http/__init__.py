"""HTTP and Django REST Framework: the layers below this one import neither."""
