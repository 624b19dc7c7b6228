/**
 * The Idempotency-Key of a refresh whose answer has not been read yet.
 *
 * It is committed to IndexedDB before the request is sent: localStorage may not have reached the
 * disk when a tab dies. The key isn't a secret: without the cookie it gives no access.
 */
const STORE = "keys";
const KEY = "refresh";

export async function pendingKey(): Promise<string> {
  const kept = await transact<string | undefined>("readonly", (store) => store.get(KEY));
  if (kept) return kept;
  const fresh = crypto.randomUUID();
  await transact("readwrite", (store) => store.put(fresh, KEY));
  return fresh;
}

export async function forgetPendingKey(): Promise<void> {
  await transact("readwrite", (store) => store.delete(KEY));
}

async function transact<T>(
  mode: IDBTransactionMode,
  run: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const opening = indexedDB.open("pending-refresh", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  try {
    const transaction = database.transaction(STORE, mode, { durability: "strict" });
    const request = run(transaction.objectStore(STORE));
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve(); // the request succeeds before the commit
      transaction.onabort = () => reject(transaction.error);
    });
    return request.result;
  } finally {
    database.close();
  }
}
