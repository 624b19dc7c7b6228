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
    // Before the first component and route guard asks who is logged in. A server that can't be
    // reached must not keep the application from starting: the first request asks again.
    provideAppInitializer(() => inject(AuthService).refresh().catch(() => false)),
  ],
};
