"""JWT sessions for Django REST Framework.

The way of a request: ``urls`` → ``http.views`` or ``authentication`` → ``flows`` → ``tokens`` →
``keys``, then ``revocation`` → ``models``, and back out through ``http.cookies``. Each layer
imports only what stands below it in that list. ``conf``, ``exceptions`` and ``signals`` are the
words all of them share; ``management``, ``admin``, ``audit`` and ``checks`` operate what the others
built.
"""
