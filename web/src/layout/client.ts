import type { LayoutRequest, LayoutResult } from "./types";

/** Runs layouts in a worker. A newer request replaces the result of an older one. */
export class LayoutClient {
  onResult: (result: LayoutResult) => void = () => {};
  readonly #worker: Worker;
  #latest = 0;

  constructor() {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<LayoutResult>) => {
      if (event.data.id === this.#latest) this.onResult(event.data);
    };
  }

  request(request: Omit<LayoutRequest, "id">): void {
    this.#latest += 1;
    this.#worker.postMessage({ ...request, id: this.#latest });
  }
}
