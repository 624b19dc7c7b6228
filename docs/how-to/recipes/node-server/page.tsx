import { createAuthClient } from "django-jwt-sessions-client";
import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";

import { Document } from "./Document";

/** In the browser's entry only: on the server this variable would be everybody's. */
const auth = createAuthClient({ baseUrl: "/api/auth/" });

hydrateRoot(
  document,
  <StrictMode>
    <Document auth={auth} />
  </StrictMode>,
);
