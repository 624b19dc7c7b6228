"""JWT sessions for Django REST Framework: a map of the package.

A request passes these rooms from top to bottom, and its response leaves through ``http.cookies``.
Each room imports only from those below it::

    urls, authentication, permissions, sessions     what a project names in its own files
    http             HTTP and REST framework, which nothing below knows
    flows            the use cases, one function each
    revocation       whether a verified access token is still valid: database, Redis, or not at all
    models           sessions and token versions, with every conditional UPDATE
    tokens           access and refresh tokens, and their claims
    keys             the key ring: its cache, its life, its stores and its signers

All of them share ``conf``, ``exceptions`` and ``signals``. For operators there are ``management``,
``admin``, ``audit`` and ``checks``, and for a project's tests ``testing``.
"""
