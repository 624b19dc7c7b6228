import { createAuthClient } from "django-jwt-sessions-client";
import { StrictMode } from "react";
import { hydrateRoot } from "react-dom/client";

import { Document } from "./Document";

/** Only in the browser's entry: on the server, all visitors would share this variable. */
const auth = createAuthClient({ baseUrl: "/api/auth/" });

hydrateRoot(
  document,
  <StrictMode>
    <Document auth={auth} />
  </StrictMode>,
);
