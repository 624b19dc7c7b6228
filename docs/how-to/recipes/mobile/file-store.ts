import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

import type { Kept, SecretStore } from "./session.ts";

/** For command line tools: a file that only its owner can read, replaced in one step. */
export class FileStore implements SecretStore {
  readonly #path: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<Kept | null> {
    const text = await readFile(this.#path, "utf8").catch((error) => {
      if (error.code === "ENOENT") return "null";
      throw error;
    });
    return JSON.parse(text);
  }

  async write(kept: Kept | null): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const unfinished = `${this.#path}.new`;
    const file = await open(unfinished, "w", 0o600);
    await file.writeFile(JSON.stringify(kept));
    await file.sync(); // on the disk, not in the kernel's memory
    await file.close();
    await rename(unfinished, this.#path);
    const folder = await open(dirname(this.#path));
    await folder.sync(); // and so is its name
    await folder.close();
  }

  /** Within this process. Several processes need a lock that the system frees when one dies. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
