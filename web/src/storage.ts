/** Web storage with a fallback to memory for browsers that deny access to it. */
export class SafeStorage {
  readonly #memory = new Map<string, string>();

  constructor(readonly open: () => Storage) {}

  get(key: string): string {
    try {
      return this.open().getItem(key) ?? "";
    } catch {
      return this.#memory.get(key) ?? "";
    }
  }

  set(key: string, value: string): void {
    try {
      this.open().setItem(key, value);
    } catch {
      this.#memory.set(key, value);
    }
  }
}

export const tabStorage = new SafeStorage(() => sessionStorage);
export const siteStorage = new SafeStorage(() => localStorage);
