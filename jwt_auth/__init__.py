"""JWT sessions for Django REST Framework.

A request passes ``urls`` → ``http.views`` or ``authentication`` → ``flows`` → ``tokens`` →
``keys``, then ``revocation`` → ``models``, and its response leaves through ``http.cookies``. Each
layer imports only from layers that come later in that list. All of them share ``conf``,
``exceptions`` and ``signals``. ``management``, ``admin``, ``audit`` and ``checks`` are for
operators.
"""
