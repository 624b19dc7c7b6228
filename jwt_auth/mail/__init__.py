"""Messages by email: composed and sent outside of the request that causes them.

``dispatch`` hands a message over and returns at once. ``delivery`` composes and sends it, in a
thread of ``background`` or in the worker of a task queue.
"""

from jwt_auth.mail.delivery import deliver

__all__ = ["deliver"]
