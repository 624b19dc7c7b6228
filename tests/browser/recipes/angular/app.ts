import { HttpClient } from "@angular/common/http";
import { Component, inject, signal } from "@angular/core";
import { toSignal } from "@angular/core/rxjs-interop";
import { firstValueFrom } from "rxjs";
import { AuthService } from "./auth.service";

@Component({
  selector: "app-root",
  template: `
    <p id="user">{{ userId() ?? "nobody" }}</p>
    <input id="username" #username><input id="password" type="password" #password>
    <button id="login" (click)="login(username.value, password.value)">log in</button>
    <button id="logout" (click)="logout()">log out</button>
    <button id="call" (click)="call()">call 20 times</button>
    <p id="answers">{{ answers() }}</p>
  `,
})
export class App {
  readonly auth = inject(AuthService);
  readonly http = inject(HttpClient);
  readonly userId = toSignal(this.auth.userId$);
  readonly answers = signal("");

  async login(username: string, password: string) {
    await this.auth.login(username, password).catch((error) => this.answers.set(`${error.status}`));
  }
  async logout() { await this.auth.logout(); }
  async call() {
    this.answers.set("");
    const one = () => firstValueFrom(this.http.get("/api/hello/")).then(() => 200, (error) => error.status);
    this.answers.set((await Promise.all(Array.from({ length: 20 }, one))).join(" "));
  }
}
