import { useQuery } from "@tanstack/react-query";
import { AuthError } from "django-jwt-sessions-client";
import { type FormEvent, useState } from "react";

import { auth, get, useClaims } from "./session";

export function App() {
  return useClaims() ? <Home /> : <LogIn />;
}

function Home() {
  const me = useQuery({
    queryKey: ["me"],
    queryFn: ({ signal }) => get<{ username: string }>("/api/auth/me/", signal),
  });
  return (
    <>
      <h1>{me.data ? `Hello, ${me.data.username}` : "Hello"}</h1>
      {me.error && <p role="alert">{me.error.message}</p>}
      <button onClick={() => auth.logout().catch(() => alert("Not logged out: no connection."))}>
        Log out
      </button>
    </>
  );
}

function LogIn() {
  const [problem, setProblem] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    try {
      await auth.login(String(fields.get("username")), String(fields.get("password")));
    } catch (error) {
      setProblem(error instanceof AuthError ? error.message : "This did not work.");
    }
  }

  return (
    <form onSubmit={submit}>
      <label>
        User name <input name="username" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <button>Log in</button>
      <p role="alert">{problem}</p>
    </form>
  );
}
