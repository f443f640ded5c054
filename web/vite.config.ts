import { defineConfig } from "vitest/config";
import { licenses } from "./licenses.ts";
import { fixturePlugin } from "./test/fixture/plugin.ts";

export default defineConfig({
  // Relative, so that the page works under any path prefix of an ingress or proxy.
  base: "./",
  plugins: [fixturePlugin(), licenses()],
  build: {
    target: "es2023",
    // The collector embeds these files by name.
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/app[extname]",
      },
    },
  },
  worker: {
    format: "es",
    rolldownOptions: { output: { entryFileNames: "assets/layout-worker.js" } },
  },
  test: {
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts", "test/fixture/**/*.test.ts"] } },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: "test/e2e/setup.ts",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 15_000 } },
          // One browser at a time: the suite measures frame rates.
          fileParallelism: false,
        },
      },
    ],
  },
});
