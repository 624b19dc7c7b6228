import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

import type { Kept, SecretStore } from "./session.ts";

/** For command line tools: a file that only its owner can read, and that is replaced atomically. */
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
    await file.sync(); // to the disk, not only to the kernel's memory
    await file.close();
    await rename(unfinished, this.#path);
    const folder = await open(dirname(this.#path));
    await folder.sync(); // the new name has to be on the disk, too
    await folder.close();
  }

  /**
   * Works within one process. If several processes share the file, use a lock that the operating
   * system releases when its holder dies.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
