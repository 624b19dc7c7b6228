import { HttpErrorResponse, HttpInterceptorFn } from "@angular/common/http";
import { inject } from "@angular/core";
import { catchError, from, switchMap, throwError } from "rxjs";

import { AuthService } from "./auth.service";

/** Our own API, and nobody else: whoever receives the token can act as the user. */
function isApi(url: string): boolean {
  const { origin, pathname } = new URL(url, document.baseURI);
  return origin === location.origin && pathname.startsWith("/api/");
}

/** By its challenge (RFC 6750): any other 401, for a wrong PIN for example, is your application's own. */
function isTokenRefused(error: unknown): boolean {
  if (!(error instanceof HttpErrorResponse) || error.status !== 401) return false;
  return /error="invalid_token"/.test(error.headers.get("WWW-Authenticate") ?? "");
}

export const authInterceptor: HttpInterceptorFn = (request, next) => {
  if (!isApi(request.url)) return next(request);
  const auth = inject(AuthService);
  const sent = auth.authorize(request);
  return next(sent).pipe(
    catchError((error: unknown) => {
      if (!isTokenRefused(error)) throw error;
      return from(auth.renew(sent)).pipe(
        switchMap((isRenewed) =>
          isRenewed ? next(auth.authorize(request)) : throwError(() => error),
        ),
      );
    }),
  );
};
