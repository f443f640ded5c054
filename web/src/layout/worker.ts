import { place } from "./place";
import type { LayoutRequest } from "./types";

declare const self: DedicatedWorkerGlobalScope;

self.onmessage = (event: MessageEvent<LayoutRequest>) => {
  self.postMessage(place(event.data));
};
