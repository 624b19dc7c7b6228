import { provideHttpClient, withInterceptors } from "@angular/common/http";
import {
  ApplicationConfig,
  inject,
  provideAppInitializer,
  provideBrowserGlobalErrorListeners,
} from "@angular/core";

import { authInterceptor } from "./auth.interceptor";
import { AuthService } from "./auth.service";

export const appConfig: ApplicationConfig = {
  providers: [
    provideBrowserGlobalErrorListeners(),
    provideHttpClient(withInterceptors([authInterceptor])),
    // Runs before the first component or route guard asks who is logged in. If the server can't be
    // reached, the application starts anyway, and its first request refreshes again.
    provideAppInitializer(() => inject(AuthService).refresh().catch(() => false)),
  ],
};
