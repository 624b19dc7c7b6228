import { createAuthClient } from "django-jwt-sessions-client";
export const auth = createAuthClient({ baseUrl: "/api/auth/" });
