import { HttpErrorResponse, HttpInterceptorFn } from "@angular/common/http";
import { inject } from "@angular/core";
import { catchError, from, switchMap, throwError } from "rxjs";

import { AuthService } from "./auth.service";

/** Whether the URL is our own API. Another server that got the token could act as the user. */
function isApi(url: string): boolean {
  const { origin, pathname } = new URL(url, document.baseURI);
  return origin === location.origin && pathname.startsWith("/api/");
}

/**
 * Whether the server refused the token, which its challenge says (RFC 6750). Any other 401 comes
 * from your application, for a wrong PIN for example.
 */
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
